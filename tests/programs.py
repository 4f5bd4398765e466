"""Programs that a test starts in the background: they end with it, whatever becomes of it.

One that were left behind would fail another test, which has nothing to do with it. This module must not know what they
do.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["Programs"]


class Programs:
    """Starts programs, and ends those that still run."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[Any]] = []

    def start(self, command: Sequence[str | Path], **how: Any) -> subprocess.Popen[Any]:
        """Start one; `how` is as for subprocess.Popen."""
        self._started.append(subprocess.Popen(command, **how))
        return self._started[-1]

    def end(self) -> None:
        """Kill what still runs, and close its streams."""
        for process in self._started:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):  # of what was written and not read
                        stream.close()
        self._started.clear()
