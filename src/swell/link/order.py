"""What an agent is told as it starts: where its server is, how to recognize it, and what part of the machine it has.

It comes on the standard input of the process, so that no list of processes shows the token. The input stays open: its
end means that whoever started the agent is gone. This module must not know how an agent works.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from swell.model import Gpu

__all__ = ["ORDER_MAX", "AgentOrder", "decode", "encode"]

ORDER_MAX: Final = 1 << 20  #: bytes


class AgentOrder(Struct, frozen=True):
    """One agent, of one node."""

    server: str  #: tls://HOST:PORT#FINGERPRINT
    token: str  #: lets in this agent, once
    node: str  #: the name of the node
    directory: str  #: of its own, which it makes and removes
    log_line_max: int  #: characters after which a line of output is split
    timeout_s: float  #: for how long nothing may come over the link before its containers are killed
    program: str | None = None  #: what runs in containers, as module:name; None: the runner
    cpu: float | None = None  #: cores of the machine that are the node's; None: all
    memory_bytes: int | None = None  #: likewise
    gpus: tuple[Gpu, ...] | None = None  #: likewise; None: those that are found
    starters_directory: str = ""  #: which it removes if whoever has started it was killed


def encode(order: AgentOrder) -> bytes:
    """Return an order as one line."""
    return msgspec.json.encode(order) + b"\n"


def decode(line: bytes) -> AgentOrder:
    """Return the order in a line. Raises msgspec.DecodeError if it is none."""
    return msgspec.json.decode(line, type=AgentOrder)
