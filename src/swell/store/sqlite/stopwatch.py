"""How long a thread waited for anything but a core.

On a busy machine, a commit takes several milliseconds of which the disk has 0.2: for the rest, the thread could run and
was not let. The kernel counts that time for each thread. This module must not know what is measured.
"""

from __future__ import annotations

import os
import threading
from time import perf_counter
from typing import Final

__all__ = ["Stopwatch"]


WATCHED: Final = 100  #: so many measurements look at the kernel's count after one that took long


class Stopwatch:
    """Measures in the thread that makes it.

    The kernel's count costs several microseconds, and is asked for only where it may matter: the first time that takes
    long on a machine that was not busy before is told as it is.

    Args:
        enough_s: a time that is longer took long.
    """

    def __init__(self, enough_s: float) -> None:
        self._enough_s = enough_s
        try:
            self._fd = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # a kernel that does not count it
            self._fd = -1
        self._watched = WATCHED  # measurements still to be looked into
        self._began = 0.0
        self._coreless_s = 0.0

    def start(self) -> None:
        """Begin to measure."""
        if self._watched:
            self._coreless_s = self._read()
        self._began = perf_counter()

    def took(self) -> float:
        """Return the seconds since `start`, without those in which the thread had no core to run on."""
        took_s = perf_counter() - self._began
        if took_s <= self._enough_s:
            if self._watched:
                self._watched -= 1
            return took_s
        if self._watched:
            took_s -= self._read() - self._coreless_s
        self._watched = WATCHED
        return took_s

    def close(self) -> None:
        """Release the file. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> float:
        """Return the seconds that this thread could have run and had no core, ever."""
        return int(os.pread(self._fd, 64, 0).split()[1]) / 1e9 if self._fd >= 0 else 0.0
