"""The end of a container: its exit hooks, and a time limit for them and for everything after.

This module must not know why the container exits.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from swell.runner.result_codec import print_exception

__all__ = ["limit_time", "run_exit_hooks"]


def limit_time(grace_s: float) -> None:
    """Kill this process in `grace_s` seconds, and ignore SIGINT from now on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    timer = threading.Timer(grace_s, _give_up, [grace_s])
    timer.daemon = True
    timer.start()


def _give_up(grace_s: float) -> NoReturn:
    os.write(2, f"exit hooks and clean-up took longer than {grace_s:g} s: container killed\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def run_exit_hooks(hooks: list[Callable[[], Any]], call: Callable[[Callable[[], Any]], Any]) -> int:
    """Run every hook through `call`; return 0, or 1 if one raised."""
    code = 0
    for hook in hooks:
        try:
            call(hook)
        except BaseException as error:  # the other hooks must run even if one fails
            print_exception(error)
            code = 1
    return code
