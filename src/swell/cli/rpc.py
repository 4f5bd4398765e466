"""Sends one request to the daemon and returns the answer.

This module must not know what is asked, or how an answer is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from swell.config import Settings
from swell.errors import InvalidError
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.client import daemon_client
from swell.sdk.connection.link import is_elsewhere
from swell.wire.message import Message

__all__ = ["ask", "require_local"]

A = TypeVar("A", bound=Message)


def require_local(what: str) -> None:
    """Refuse a command that reads or writes files of the server's machine.

    Args:
        what: It does, as in "tokens are kept".

    Raises:
        InvalidError: the server in use is on another machine.
    """
    server = Settings.load().server
    if is_elsewhere(server):
        raise InvalidError(f"{what} on the server's machine, which is another (SWELL_SERVER={server}): do this there")


def ask(answer: type[A], question: Callable[[int], Message]) -> A:
    """Return the answer of the daemon.

    Args:
        answer: Its type.
        question: Makes the message from the number of the request.

    Raises:
        ConnectionError: no daemon runs, or it is gone.
        Error: the daemon answered with an error.
    """
    link = daemon_client().blocking_link()
    request = link.next_request()
    found, _ = run_blocking(link.request(request, question(request)))
    assert isinstance(found, answer)
    return found
