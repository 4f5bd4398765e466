"""What lets agents in, as those see it who start agents by Ray. This module must not know Ray or links."""

from __future__ import annotations

from typing import Protocol

from swell.backends.agents.backend import Invitation

__all__ = ["Inviter"]


class Inviter(Protocol):
    """What lets agents in."""

    async def listen(self, host: str) -> None:
        """Listen for agents at an address of this machine."""
        ...

    def invite(self, node: str) -> Invitation:
        """Return what lets one agent in."""
        ...

    def has_node(self, node: str) -> bool:
        """True if an agent was let in, and its node is there for containers."""
        ...

    def withdraw(self, node: str) -> bool:
        """Let in no agent for this node; False if one was let in."""
        ...

    def forget_refusal(self, node: str) -> None:
        """Tell no more that a node was refused."""
        ...

    def trouble_changed(self) -> None:
        """What the provider says in `trouble` has changed."""
        ...

    def drains(self, name: str, deadline_s: float | None) -> None:
        """A node will be taken away, in so many seconds; None: it is not known when."""
        ...
