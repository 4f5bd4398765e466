"""Beginning and cancelling calls, wherever they or their function are: in memory, put away, or in the store alone.

This module must not know how inputs are admitted, or what a variant is.
"""

from __future__ import annotations

from msgspec.structs import replace

from swell.engine.rules.admission import Admission
from swell.engine.rules.cancelling import Cancelling
from swell.engine.rules.lookups import Lookups
from swell.engine.rules.variants import Variants
from swell.engine.state.engine_state import EngineState
from swell.wire.messages import CancelCall, Message, OpenCall

__all__ = ["Calls"]


class Calls:
    """Hands a call to the rule that has it."""

    def __init__(
        self,
        state: EngineState,
        admission: Admission,
        cancelling: Cancelling,
        variants: Variants,
        lookups: Lookups,
    ) -> None:
        self._state = state
        self._admission = admission
        self._cancelling = cancelling
        self._variants = variants
        self._lookups = lookups

    def open(self, client: int, message: OpenCall, payload: bytes, now: float) -> None:
        """Begin a call with its first inputs."""
        if message.parameters or message.function_id not in self._state.pools:
            self._variants.open(client, message, payload, now)
        else:
            self._admission.open(client, message, payload, now)

    def begin(self, client: int, message: Message, payload: bytes, now: float) -> None:
        """Begin a call that a client sent again, and that the store does not have."""
        assert isinstance(message, OpenCall)
        self.open(client, replace(message, resent=False), payload, now)

    def cancel(self, client: int, message: CancelCall, now: float) -> None:
        """Cancel a call; one that is not in memory is looked up in the store first."""
        call = self._state.calls.get(message.call_id)
        if call is not None:
            kill = message.terminate_containers
            self._cancelling.cancel(call, now, terminate_containers=kill, why="the call was cancelled")
        elif self._state.histories.call(message.call_id) is None:  # else the call has just ended
            self._lookups.ask(message.call_id, client, message)
