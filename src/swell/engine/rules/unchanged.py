"""Guard the part of an event that changes nothing: a defect there fails this one request, and nothing else.

When the engine fails in the middle of a change, what it believes is in doubt, and the server must end. Most of what can
fail comes before: a story is told, a spec is checked, a variant is decoded. What is done inside `unchanged` reads the
state and never writes it, so that the engine goes on as if the request had not come. The shell logs the
defect because of an effect, since the engine does not log. This module must not know what is asked or checked.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from swell.engine.events import DefectFound
from swell.engine.state.engine_state import EngineState
from swell.errors import Error, InternalError, to_wire
from swell.wire.messages import Failed

__all__ = ["answer", "unchanged"]


@contextmanager
def unchanged(state: EngineState) -> Generator[None]:
    """Promise that nothing is changed inside the block. If there is a defect, messages sent inside are dropped.

    Raises:
        InternalError: there is one.
        Error: what the block raises itself.
    """
    told = len(state.outbox)
    try:
        yield
    except Error:
        raise
    except Exception as defect:
        state.drop_effects(told)
        state.emit(DefectFound(defect))
        raise InternalError(
            f"a defect in the server ({type(defect).__name__}); its log has the details, and nothing was changed"
        ) from defect


def answer(state: EngineState, client: int, request: int, tell: Callable[[], None]) -> None:
    """Answer a question by a function that changes nothing; a defect in it is the answer to that question alone."""
    try:
        with unchanged(state):
            tell()
    except Error as error:
        state.send_to_client(client, Failed(request, *to_wire(error)))
