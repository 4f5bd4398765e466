"""Give processes that swell starts the default signals, whatever their parent ignored or blocked.

A background job of a script ignores SIGINT, a command under `nohup` ignores SIGHUP, and their child processes inherit
that. Commands that a user types keep it. Processes that swell starts for itself have a session of their own and get
signals from swell alone: an interrupt has to reach user code, and the usual signals have to end programs that a
container starts. This module must not know how a process responds to a signal.
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
    """Return whether a signal is ignored, as this process may have inherited from its parent."""
    return signal.getsignal(number) is signal.SIG_IGN
