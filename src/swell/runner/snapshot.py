"""Snapshot: a function's code imported and entered once, to be inherited by every container forked from here.

This module must not know templates, sockets or the server.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time

import swell.linux as linux
from swell.model import Environment, FunctionSpec
from swell.runner.hooks import HookCaller
from swell.runner.lifecycle import Program, load_program
from swell.runner.loader import enter_environment
from swell.runner.randomness import GeneratorWatch
from swell.wire.context import enter_container
from swell.wire.exception_pickle import text_of

__all__ = ["SnapshotRejectedError", "take"]

THREADS_LEAVE_S = 0.2  #: how long threads may take to end after a library has stopped them


class SnapshotRejectedError(Exception):
    """The function cannot have a snapshot; the text says why."""


def take(spec: FunctionSpec, environment: Environment) -> Program:
    """Load a function's code and run the hooks that come before a snapshot, in this process.

    Raises:
        SnapshotRejectedError: loading failed, or left something behind that would be broken in a forked process.
    """
    enter_environment(environment, spec, {"SWELL_IS_REMOTE": "1"})
    enter_container(lambda: None, {})  # for the user's code, this process is a container already
    watch = GeneratorWatch()
    try:
        with watch:
            program = load_program(spec, environment.bundle_dir)
            if spec.web_methods:
                from swell.runner.web.build import load

                load(spec.web_methods.values())
            hooks = HookCaller()
            for hook in program.enter_snap:
                hooks.call(hook)
    except BaseException as error:  # a container without a snapshot fails likewise, and reports it in full
        raise SnapshotRejectedError(f"loading the code raised {type(error).__name__}: {text_of(error)}") from error
    found = [*_event_loops(), *_cuda(), *_children(), *_threads()]
    if found:
        raise SnapshotRejectedError("after loading the code there is " + ", and ".join(found))
    program.generators = watch.found()
    return program


def _threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if names:
        return [f"a running thread ({', '.join(sorted(names))})"]
    if len(os.listdir("/proc/self/task")) == 1:
        return []
    # Some libraries, OpenBLAS among them, have threads and stop them before any fork, and start them again on both
    # sides when needed. Fork once to find out.
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    deadline = time.monotonic() + THREADS_LEAVE_S
    while (count := len(os.listdir("/proc/self/task")) - 1) and time.monotonic() < deadline:
        time.sleep(0.005)
    return [f"a running thread ({count} started by a native library)"] if count else []


def _children() -> list[str]:
    return ["a child process"] if linux.children() else []


def _event_loops() -> list[str]:
    return ["an open event loop"] if any("[eventpoll]" in path for path in _open_files()) else []


def _cuda() -> list[str]:
    return ["an initialised CUDA context"] if any(path.startswith("/dev/nvidia-uvm") for path in _open_files()) else []


def _open_files() -> list[str]:
    paths: list[str] = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the descriptor through which the directory was read
            paths.append(os.readlink(f"/proc/self/fd/{name}"))
    return paths
