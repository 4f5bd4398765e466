"""The begin and the end of every process that a template forks.

This module must not know whether the process becomes a container or a template itself.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from io import TextIOWrapper
from typing import NoReturn

import swell.linux as linux

__all__ = ["ChildMain", "begin_session", "leave", "limit_memory", "run_and_exit", "write_by_line"]

ChildMain = Callable[[], int | None]  #: the main function of a forked child; returns its exit code


def begin_session(stdout: int, stderr: int, variables: Mapping[str, str]) -> None:
    """Give this process a session, a process group, standard streams and variables of its own."""
    os.setsid()
    linux.adopt_orphans()  # so that the template adopts orphans of dead children only
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, target in ((null, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, target)
        os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        write_by_line(stream)
    os.environ.update(variables)


def write_by_line(stream: object) -> None:
    """Have a stream write whole lines at once, of any text; one that does so, or is none of Python's own, is left."""
    if isinstance(stream, TextIOWrapper):
        present = (stream.encoding, stream.errors, stream.line_buffering)
        if present != ("utf-8", "backslashreplace", True):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def limit_memory(size_bytes: int) -> None:
    """Limit this process's writable private memory, so that an allocation beyond it raises MemoryError.

    Not RLIMIT_AS: that counts address space, of which CUDA, memory-mapped arguments and every thread's malloc arena
    reserve far more than they ever use.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = size_bytes if hard == resource.RLIM_INFINITY else min(size_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


def run_and_exit(main: ChildMain) -> NoReturn:
    """Run a child's main function, then exit as a program does."""
    code = 1
    try:
        code = main() or 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        with contextlib.suppress(BaseException):  # stderr may be what user code has put in its place
            traceback.print_exc()
    leave(code)


def leave(code: int, *, waits: bool = True) -> NoReturn:
    """End this process as a program ends: threads, exit functions, then what is buffered.

    But without freeing the frozen heap, which would copy it page by page.

    Args:
        code: The exit code.
        waits: If false, not even threads and processes are waited for that are no daemons: they have nothing to finish.
    """
    with contextlib.suppress(BaseException):
        if waits:
            # Executors end, too, whose workers multiprocessing's exit function would wait for.
            threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        elif "multiprocessing.process" in sys.modules:
            for process in sys.modules["multiprocessing.process"].active_children():
                process.kill()  # or multiprocessing's exit function would wait for it
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]  it prints what they raise
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):  # user code may have closed it, or replaced it by anything
            stream.flush()
    os._exit(code)
