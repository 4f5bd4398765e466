"""A call that is being cancelled: what it has in containers, which is stopped some at a time.

This module must not know how an input is stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swell.engine.state.call import Call
    from swell.engine.state.container import Delivery

__all__ = ["Cancellation"]


class Cancellation:
    """A call that was cancelled, until all that ran of it then was stopped."""

    __slots__ = ("_left", "call", "terminates_containers", "why")

    def __init__(self, call: Call, why: str, *, terminate_containers: bool) -> None:
        self.call = call
        self.why = why.encode()  #: what its inputs end with
        self.terminates_containers = terminate_containers
        self._left = list(call.deliveries.values())

    @property
    def last(self) -> Delivery | None:
        """The latest delivery that was not stopped, which may be over by now; None if there is none.

        Of one container, the delivery that runs comes last: those queued behind it must not begin because it ends.
        """
        return self._left[-1] if self._left else None

    def pass_on(self) -> None:
        """Leave the latest delivery behind."""
        self._left.pop()
