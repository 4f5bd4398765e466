"""The signals that a process of swell's own begins with, whatever its parent ignored or blocked.

A job in the background of a script has SIGINT ignored, a command under `nohup` SIGHUP, and both pass to everything that
is started from there. Commands that a user types honour that. What swell starts for itself has a session of its own and
gets signals from swell alone: an interrupt has to reach user code, and programs that a container starts have to end by
what ends them elsewhere. This module must not know what a process does about a signal.
"""

from __future__ import annotations

import signal
from collections.abc import Collection
from typing import Final

__all__ = ["is_ignored", "reset_signals"]

_IGNORED_BY_PYTHON: Final = frozenset((signal.SIGPIPE, signal.SIGXFSZ))


def reset_signals(*, keep: Collection[signal.Signals] = ()) -> None:
    """Unblock all signals, and give those that are ignored the disposition that a new Python has on a terminal.

    Args:
        keep: Signals that stay ignored, if they are.
    """
    for number in signal.valid_signals() - {*_IGNORED_BY_PYTHON, *keep}:
        if is_ignored(number):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def is_ignored(number: int) -> bool:
    """Return whether a signal is ignored, as this process's parent may have wanted it."""
    return signal.getsignal(number) is signal.SIG_IGN
