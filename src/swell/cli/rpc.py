"""One question to the server that stays, and its answer.

This module must not know what is asked, or how an answer is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.client import lasting_client
from swell.wire.message import Message

__all__ = ["ask"]

A = TypeVar("A", bound=Message)


def ask(answer: type[A], question: Callable[[int], Message]) -> A:
    """Return the answer to a question.

    Args:
        answer: Its type.
        question: Makes the message, given the number of the request.

    Raises:
        ConnectionError: no server that stays runs, or it is gone.
        Error: the server could not answer; it says why.
    """
    link = lasting_client().blocking_link()
    request = link.next_request()
    said, _ = run_blocking(link.request(request, question(request)))
    assert isinstance(said, answer)
    return said
