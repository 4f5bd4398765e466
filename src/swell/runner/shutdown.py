"""How a container ends: exit hooks, within a time limit for them and all that follows.

This module must not know why the container leaves.
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
    """End this process by force in `grace_s` seconds, and from now on ignore requests to end it gently."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    timer = threading.Timer(grace_s, _give_up, [grace_s])
    timer.daemon = True
    timer.start()


def _give_up(grace_s: float) -> NoReturn:
    os.write(2, f"exit hooks and what runs at the end took longer than {grace_s:g} s: container killed\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def run_exit_hooks(hooks: list[Callable[[], Any]], call: Callable[[Callable[[], Any]], Any]) -> int:
    """Run every hook through `call`; return 0, or 1 if one raised."""
    code = 0
    for hook in hooks:
        try:
            call(hook)
        except BaseException as error:  # one that fails must not keep the others from running
            print_exception(error)
            code = 1
    return code
