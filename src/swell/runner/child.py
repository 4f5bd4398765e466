"""Child: what every process forked from a template does first and last.

This module must not know whether it becomes a container or a template itself.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
import sys
import traceback
from collections.abc import Callable, Mapping
from io import TextIOWrapper
from typing import NoReturn

import swell.linux as linux

__all__ = ["Life", "begin", "limit_memory", "live"]

Life = Callable[[], int | None]  #: what a forked child does with itself; returns its exit code


def begin(stdout: int, stderr: int, variables: Mapping[str, str]) -> None:
    """Stand on own feet: a session and process group of its own, with streams of its own."""
    os.setsid()
    linux.adopt_orphans()  # so that what reaches the template is an orphan of a child that is dead
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, target in ((null, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, target)
        os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    os.environ.update(variables)


def limit_memory(size_bytes: int) -> None:
    """Bound this process's writable private memory, so that Python raises MemoryError in the code that wants more.

    Not RLIMIT_AS: that counts address space, of which CUDA, memory-mapped arguments and every thread's malloc arena
    reserve far more than they ever use.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = size_bytes if hard == resource.RLIM_INFINITY else min(size_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


def live(life: Life) -> NoReturn:
    """Live a life, then leave without tearing down the frozen heap, which would only copy it page by page."""
    code = 1
    try:
        code = life() or 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]  it prints what they raise
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # user code may have closed or replaced it
            stream.flush()
    os._exit(code)
