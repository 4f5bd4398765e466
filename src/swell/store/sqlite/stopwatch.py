"""How long a thread waited for anything but a core.

On a busy machine, a commit takes several milliseconds of which the disk has 0.2: for the rest, the thread could run and
was not let. The kernel counts that time for each thread. This module must not know what is measured.
"""

from __future__ import annotations

import os
import threading
from time import perf_counter

__all__ = ["Stopwatch"]


class Stopwatch:
    """Measures in the thread that makes it.

    Args:
        enough_s: a measured time that is no longer than this is not looked into.
    """

    def __init__(self, enough_s: float) -> None:
        self._enough_s = enough_s
        try:
            self._fd = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # a kernel that does not count it
            self._fd = -1
        self._began = 0.0
        self._coreless_s = 0.0

    def start(self) -> None:
        """Begin to measure."""
        self._coreless_s = self._read()
        self._began = perf_counter()

    def took(self) -> float:
        """Return the seconds since `start`, without those in which the thread had no core to run on."""
        took_s = perf_counter() - self._began
        return took_s if took_s <= self._enough_s else took_s - (self._read() - self._coreless_s)

    def close(self) -> None:
        """Release the file. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> float:
        """Return the seconds that this thread could have run and had no core, ever."""
        return int(os.pread(self._fd, 64, 0).split()[1]) / 1e9 if self._fd >= 0 else 0.0
