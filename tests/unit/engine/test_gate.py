"""What is decided is written down before it is said, to those whom it concerns, and nobody else waits for that."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swell.engine.events import (
    CallLoaded,
    CallsLoaded,
    DeploymentRead,
    DropBlobs,
    Effect,
    Event,
    KillContainer,
    LoadCall,
    LoadCalls,
    LoadSpans,
    Persist,
    ReadDeployment,
    ReadTrace,
    SendToClient,
    SendToContainer,
    SpansLoaded,
    TraceRead,
)
from swell.engine.gate import Gate
from swell.model import Deployment, Environment
from swell.records import CallEnded, CallRecord, OutputsRecord, SpanRecord, StoredCall, Trace, Window
from swell.store.memory.store import MemoryStore
from swell.wire.messages import Accepted, Drain

CALL = CallRecord("fc-1", 1, "fu-1", "f", "", "", 1.0, 1, sealed=True)
INPUTS = SpanRecord("fc-1", 0, [1], b"a")
RESULT = OutputsRecord("fc-1", 0, 1, [1], b"A", trace=Trace(1.0, 2.0, 3.0, "ta-1"))
WINDOW = Window(10, 10)


def tell(client: int, number: int) -> SendToClient:
    return SendToClient(client, Accepted("fc-1", number))


def order(name: str) -> SendToContainer:
    return SendToContainer(name, Drain(1.0))


class Scene:
    """A gate before a store that takes its time."""

    def __init__(self) -> None:
        self.done: list[Effect] = []
        self.heard: list[Event] = []
        self.answers: list[Callable[[], None]] = []
        self.later: list[Callable[[], None]] = []
        self.store = MemoryStore(self.answers.append)
        self.gate = Gate(self.store, self.do, self.heard.append, self.later.append)

    def do(self, effect: Effect) -> None:
        self.done.append(effect)

    def decides(self, *effects: Effect) -> list[Effect]:
        """Carry out what was decided on one event; return what was done at once."""
        self.done.clear()
        self.gate.carry_out(effects)
        return list(self.done)

    def commits(self) -> list[Effect]:
        """Let the store answer what it was asked first; return what was done because of that."""
        self.done.clear()
        self.answers.pop(0)()
        return list(self.done)


@pytest.fixture
def scene() -> Scene:
    return Scene()


# ---------------------------------------------------------------- write before speak


def test_what_is_said_because_of_a_record_waits_until_that_is_durable(scene: Scene) -> None:
    assert scene.decides(Persist(CALL), Persist(INPUTS), tell(1, 1)) == []
    assert scene.commits() == [tell(1, 1)]


def test_what_is_said_before_a_record_does_not_wait_for_it(scene: Scene) -> None:
    assert scene.decides(tell(1, 1), Persist(CALL), tell(1, 2)) == [tell(1, 1)]
    assert scene.commits() == [tell(1, 2)]


def test_orders_to_containers_wait_too_and_starting_or_killing_one_does_not(scene: Scene) -> None:
    kill = KillContainer("ta-1", "why")
    assert scene.decides(Persist(CALL), order("ta-1"), kill) == [kill]
    assert scene.commits() == [order("ta-1")]


def test_blobs_are_dropped_when_what_makes_them_needless_is_durable(scene: Scene) -> None:
    drop = DropBlobs([("fc-1", 0)], are_kept=True)
    assert scene.decides(Persist(RESULT), drop) == []
    assert scene.commits() == [drop]
    assert scene.decides(drop) == [drop]


def test_without_a_record_everything_leaves_at_once_and_in_order(scene: Scene) -> None:
    assert scene.decides(tell(1, 1), order("ta-1"), tell(2, 2)) == [tell(1, 1), order("ta-1"), tell(2, 2)]
    assert not scene.answers


# ---------------------------------------------------------------- order


def test_what_is_said_later_to_the_same_peer_waits_behind_and_nobody_else_does(scene: Scene) -> None:
    scene.decides(Persist(CALL), tell(1, 1))
    assert scene.decides(tell(1, 2), tell(2, 1), order("ta-1")) == [tell(2, 1), order("ta-1")]
    assert scene.commits() == [tell(1, 1)]
    assert scene.commits() == [tell(1, 2)]
    assert scene.decides(tell(1, 3)) == [tell(1, 3)], "and then nobody waits any more"


def test_a_client_and_a_container_are_different_peers(scene: Scene) -> None:
    scene.decides(Persist(CALL), order("1"))
    assert scene.decides(tell(1, 1)) == [tell(1, 1)]


def test_several_commits_are_answered_one_by_one(scene: Scene) -> None:
    scene.decides(Persist(CALL), tell(1, 1))
    scene.decides(Persist(INPUTS), tell(1, 2), tell(2, 2))
    scene.decides(tell(2, 3))
    assert [scene.commits(), scene.commits(), scene.commits()] == [[tell(1, 1)], [tell(1, 2), tell(2, 2)], [tell(2, 3)]]


def test_what_is_decided_while_the_held_is_let_go_comes_behind_it(scene: Scene) -> None:
    """Saying the first thing makes the engine decide on more, to the same peer, before the second is said."""

    def do(effect: Effect) -> None:
        scene.done.append(effect)
        if effect == tell(1, 1):
            scene.gate.carry_out([tell(1, 3), tell(2, 1)])

    scene.gate = Gate(scene.store, do, scene.heard.append, scene.later.append)
    scene.decides(Persist(CALL), tell(1, 1), tell(1, 2))
    assert scene.commits() == [tell(1, 1), tell(2, 1), tell(1, 2)]
    assert scene.commits() == [tell(1, 3)]


def test_what_is_released_together_for_one_client_is_sent_together(scene: Scene) -> None:
    gathered = list[Effect]()
    scene.gate = Gate(scene.store, scene.do, scene.heard.append, scene.later.append, gathered.append)
    scene.decides(Persist(CALL), tell(1, 1), tell(2, 1), order("ta-1"), order("ta-1"))
    scene.decides(Persist(INPUTS), tell(1, 2))
    assert scene.commits() == [tell(2, 1), order("ta-1"), order("ta-1")]
    assert gathered == [tell(1, 1)]
    assert scene.commits() == [tell(1, 2)], "the last one, with which the others leave"
    assert len(gathered) == 1


def test_the_store_learns_whether_somebody_was_served_who_does_not_wait_for_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[bool]()
    monkeypatch.setattr(scene.store, "commit", lambda then, *, alone: told.append(alone))
    scene.decides(Persist(CALL), tell(1, 1), KillContainer("ta-1", "why"))
    scene.decides(tell(1, 2))  # waits behind the other
    scene.decides(tell(2, 1))
    scene.decides(Persist(INPUTS), tell(1, 3))
    scene.decides(Persist(RESULT), order("ta-2"))
    assert told == [True, True, False, True]


# ---------------------------------------------------------------- what nobody waits for


def test_records_that_nobody_waits_for_are_made_durable_together_a_little_later(scene: Scene) -> None:
    scene.decides(Persist(CALL))
    scene.decides(Persist(INPUTS))
    assert (len(scene.answers), len(scene.later)) == (0, 1)
    scene.later.pop()()
    assert len(scene.answers) == 1
    assert scene.commits() == []
    scene.decides(Persist(CallEnded("fc-1", 1, 2.0)))
    assert len(scene.later) == 1, "and so it goes on"


# ---------------------------------------------------------------- questions


def test_questions_are_asked_after_what_was_written_and_answered_to_the_engine(scene: Scene) -> None:
    scene.decides(
        Persist(CALL),
        Persist(INPUTS),
        LoadCall("fc-1", WINDOW),
        LoadCalls("fu-1", 0, 5, WINDOW),
        LoadSpans("fc-1", 0, WINDOW),
        ReadDeployment("ap-1", 2),
    )
    while scene.answers:
        scene.commits()
    loaded, calls, spans, deployment = scene.heard
    assert isinstance(loaded, CallLoaded)
    assert loaded.found.call.accepted == 1
    assert isinstance(calls, CallsLoaded)
    assert [call.call.call_id for call in calls.calls] == ["fc-1"]
    assert isinstance(spans, SpansLoaded)
    assert spans.spans.spans == [INPUTS]
    assert deployment == DeploymentRead("ap-1", 2, None)


def test_answers_name_what_was_asked(scene: Scene) -> None:
    version = Deployment("ap-1", 2, (), Environment("/py", "/", ()))
    stored = StoredCall("fc-1", 1, "fu-1", "f", "", "", 1.0, 1, sealed=True)
    scene.decides(Persist(version), Persist(CALL), Persist(RESULT))
    scene.decides(ReadDeployment("ap-1", 2), ReadTrace(7, 8, stored, 0), LoadCall("fc-none", WINDOW))
    while scene.answers:
        scene.commits()
    assert scene.heard == [
        DeploymentRead("ap-1", 2, version),
        TraceRead(7, 8, stored, 0, RESULT.trace),
        CallLoaded("fc-none", None),
    ]
