"""Questions about one thing: answered from memory, or by a lookup in the store.

An answer changes nothing, except that its client may wait for the store. This module must not know how a report or a
story is worded.
"""

from __future__ import annotations

from swell.engine.events import TraceRead
from swell.engine.rules.lookups import Lookups
from swell.engine.state.engine_state import EngineState
from swell.engine.views.explain import Explainer
from swell.engine.views.snapshot import SnapshotView
from swell.errors import NotFoundError, to_wire
from swell.ids import CALL, INPUT, call_and_index
from swell.wire.messages import Failed
from swell.wire.queries import AskStory, InspectCall

__all__ = ["Questions"]


class Questions:
    """Answers questions of clients."""

    def __init__(self, state: EngineState, lookups: Lookups) -> None:
        self._state = state
        self._lookups = lookups
        self._explainer = Explainer(state)
        self._snapshot = SnapshotView(state)

    def inspect_call(self, client: int, message: InspectCall) -> None:
        """Report on a call."""
        report = self._snapshot.call(message.request, message.call_id)
        if report is None:
            self._lookups.ask(message.call_id, client, message)
        else:
            self._state.send_to_client(client, report)

    def tell_story(self, client: int, message: AskStory, now: float) -> None:
        """Explain why an input, a call, a container or a function is where it is."""
        state, about = self._state, message.about
        story = self._explainer.tell(message.request, about, now)
        if story is not None:
            state.send_to_client(client, story)
            return
        if about.startswith((CALL, INPUT)):
            call_id, _ = call_and_index(about)
            if call_id not in state.calls and state.histories.call(call_id) is None:
                self._lookups.ask(call_id, client, message)
                return
        text = (
            f"nothing is known of {about!r}: name an input (in-…), a call (fc-…), a container (ta-…), or a function as "
            "app.function; of what has ended only the latest is remembered"
        )
        state.send_to_client(client, Failed(message.request, *to_wire(NotFoundError(text))))

    def tell_stored_story(self, event: TraceRead) -> None:
        """Explain an input of a call that has ended, as the store has it."""
        self._state.send_to_client(
            event.client, Explainer.from_store(event.request, event.call, event.index, event.trace)
        )
