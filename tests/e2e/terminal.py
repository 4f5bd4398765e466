"""The `swell` command with a terminal around it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from patience import patience

SWELL = Path(sys.executable).with_name("swell")
PATIENCE_S = patience(60.0)


def on_a_terminal(
    folder: Path, *arguments: str, keys: str = "", columns: int = 100, environment: Mapping[str, str] = os.environ
) -> tuple[str, int]:
    """Run swell on a terminal, and type; return all that it wrote, and its exit code."""
    ours, theirs = pty.openpty()
    surroundings = {**environment, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "30"}
    process = subprocess.Popen(
        [SWELL, *arguments], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=surroundings
    )
    os.close(theirs)
    os.write(ours, keys.encode())
    written, deadline = b"", time.monotonic() + patience(60.0)
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    written += os.read(ours, 65_536)
                except OSError:  # the last holder of the terminal has left
                    break
        return written.decode(), process.wait(PATIENCE_S)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
