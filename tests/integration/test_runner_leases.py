"""Direct calls in a container: of clients that have a lease, and of others."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from patience import patience
from runner_program import FAILURE, SIGNALS, STUBBORN, SUCCESS, TERMINATED, Start, await_file, concurrent, function

from swell.wire import blobs, codec, payload
from swell.wire.leases import (
    NOT_BEGUN,
    Abandoned,
    Announce,
    CallAnswer,
    CallDirectly,
    CancelDirect,
    DirectReport,
    LeaseClosed,
    LeaseHello,
    OpenLease,
    RecallLease,
)
from swell.wire.messages import PROTOCOL, Drain, Interrupt, Message, Ready
from swell.wire.shelf import Shelf

PATIENCE_S = patience(60.0)
SQUARE = "def f(x): return x * x"


def connected(peer: Any) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    connection.connect(peer.calls_at)
    return connection


class Caller:
    """A client that has a lease, or says so."""

    def __init__(self, peer: Any, lease: str = "le-1", token: str = "sesame", *, protocol: int = PROTOCOL) -> None:
        self.socket = connected(peer)
        weakref.finalize(self, self.socket.close)
        self._decoder = codec.for_caller(1 << 20)
        self._answers: list[tuple[CallAnswer, bytes]] = []
        self._calls = 0
        self._said = codec.encode(LeaseHello(protocol, lease, token))

    def say(self, message: Message, data: bytes = b"") -> None:
        self._said += codec.encode(message, data)

    def send(self, *args: Any, method: str = "", parent: str = "") -> str:
        """Send a call, with the first words if they were not sent; return its id."""
        self._calls += 1
        call_id = f"fc-{self._calls}"
        self.say(CallDirectly(call_id, method, parent), payload.encode_arguments(args, {}))
        self.flush()
        return call_id

    def flush(self) -> None:
        said, self._said = self._said, b""
        self.socket.sendall(said)

    def answer(self) -> tuple[CallAnswer, bytes] | None:
        """Return the next answer; None at the end."""
        while not self._answers:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self._answers += self._decoder.feed(data)
        return self._answers.pop(0)

    def call(self, *args: Any, **options: Any) -> tuple[int, Any]:
        """Make a call; return its status and its value."""
        call_id = self.send(*args, **options)
        answer = self.answer()
        assert answer is not None
        message, data = answer
        assert message.call_id == call_id
        if message.status == SUCCESS:
            return message.status, payload.loads(data)
        return message.status, payload.decode_exception(data) if message.status == FAILURE else data

    def close(self) -> None:
        self.socket.close()


def leased(peer: Any, lease: str = "le-1", *, announce_after_s: float = 3600.0) -> Caller:
    """Grant a lease and return its client."""
    peer.order(OpenLease(lease, "sesame", announce_after_s))
    return Caller(peer, lease)


def told(peer: Any, kind: type[Message]) -> list[Any]:
    return [message for message in peer.messages if isinstance(message, kind)]


def await_told(peer: Any, kind: type[Message], count: int = 1) -> list[Any]:
    peer.read_until(lambda: len(told(peer, kind)) >= count)
    return told(peer, kind)


def reported(peer: Any) -> list[tuple[str, int]]:
    """Return (call id, status) of all calls that were reported, in order."""
    found: list[tuple[str, int]] = []
    for report in told(peer, DirectReport):
        statuses = dict(report.failures)
        assert len(report.call_ids) == len(report.ages) == len(report.took)
        found += [(call_id, statuses.get(at, SUCCESS)) for at, call_id in enumerate(report.call_ids)]
    return found


@pytest.fixture
def square(start: Start) -> Iterator[Any]:
    peer = start(function(), SQUARE)
    assert peer.ready().takes_calls
    yield peer
    assert peer.end()[0] == 0
    assert not os.path.exists(peer.calls_at)


# ---------------------------------------------------------------- calls


def test_calls_are_answered_and_reported_in_order(square: Any) -> None:
    caller = leased(square)
    assert [caller.call(i) for i in range(50)] == [(SUCCESS, i * i) for i in range(50)]
    square.read_until(lambda: len(reported(square)) == 50)
    assert reported(square) == [(f"fc-{i + 1}", SUCCESS) for i in range(50)]
    (first, *_) = told(square, DirectReport)
    assert all(age >= took >= 0 for age, took in zip(first.ages, first.took, strict=True))
    assert not first.parents and not first.methods and not told(square, Announce)


def test_deliveries_before_and_after_a_lease_are_run(square: Any) -> None:
    assert square.run((2,)) == [(SUCCESS, 4)]
    caller = leased(square)
    assert caller.call(3) == (SUCCESS, 9)
    square.order(RecallLease("le-1"))
    await_told(square, LeaseClosed)
    assert square.run((4,)) == [(SUCCESS, 16)]
    assert leased(square, "le-2").call(5) == (SUCCESS, 25)


def test_a_delivery_beside_a_lease_is_run(square: Any) -> None:
    assert leased(square).call(3) == (SUCCESS, 9)
    assert square.run((4,)) == [(SUCCESS, 16)]


def test_an_exception_comes_with_its_traceback(start: Start) -> None:
    peer = start(function(), "def f(x): return 1 / x")
    peer.ready()
    caller = leased(peer)
    status, error = caller.call(0)
    assert status == FAILURE and type(error) is ZeroDivisionError
    assert "program.py" in "".join(error.__notes__) if hasattr(error, "__notes__") else error.__traceback__
    assert caller.call(1) == (SUCCESS, 1.0)
    peer.read_until(lambda: len(reported(peer)) == 2)
    assert reported(peer) == [("fc-1", FAILURE), ("fc-2", SUCCESS)]
    _, _, err = peer.end()
    assert "ZeroDivisionError" in err


def test_user_code_knows_its_call_and_its_callers(start: Start) -> None:
    code = "import swell\ndef f(): return swell.current_function_call_id(), swell.current_input_id()"
    peer = start(function(), code)
    peer.ready()
    caller = leased(peer)
    assert caller.call(parent="fc-9:3") == (SUCCESS, ("fc-1", "in-1:0"))
    (report,) = await_told(peer, DirectReport)
    assert report.parents == ["fc-9:3"]


def test_a_method_is_called_by_its_name_and_an_unknown_one_is_an_error(start: Start) -> None:
    peer = start(function(), SQUARE)
    peer.ready()
    caller = leased(peer)
    status, error = caller.call(1, method="g")
    assert status == FAILURE and "'g'" in str(error)
    (report,) = await_told(peer, DirectReport)
    assert report.methods == ["g"]


def test_a_large_result_is_a_blob(start: Start) -> None:
    peer = start(function(), "def f(n): return b'x' * n")
    peer.ready()
    caller = leased(peer)
    caller.send(100_000)
    answer = caller.answer()
    assert answer is not None and answer[0].is_blob
    assert blobs.unpack(answer[1], Shelf(str(peer.blob_dir))) == b"x" * 100_000


def test_arguments_that_come_in_many_pieces_are_read(start: Start) -> None:
    peer = start(function(), "def f(data): return len(data)")
    peer.ready()
    caller = leased(peer)
    assert caller.call(b"x" * 500_000) == (SUCCESS, 500_000)
    assert caller.call(b"x" * 10) == (SUCCESS, 10)


# ---------------------------------------------------------------- who may connect


def test_the_socket_is_its_users_alone(square: Any) -> None:
    assert stat.S_IMODE(os.stat(square.calls_at).st_mode) == 0o600


@pytest.mark.parametrize(
    ("lease", "token", "protocol"),
    [
        ("le-1", "wrong", PROTOCOL),
        ("le-1", "é", PROTOCOL),
        ("le-9", "sesame", PROTOCOL),
        ("le-1", "sesame", PROTOCOL - 1),
    ],
)
def test_a_stranger_is_turned_away_and_the_client_is_let_in(square: Any, lease: str, token: str, protocol: int) -> None:
    square.order(OpenLease("le-1", "sesame", 3600.0))
    stranger = Caller(square, lease, token, protocol=protocol)
    stranger.send(2)
    assert stranger.answer() is None
    assert Caller(square).call(3) == (SUCCESS, 9)
    square.read_until(lambda: bool(reported(square)))
    assert reported(square) == [("fc-1", SUCCESS)]


def test_a_token_is_good_once(square: Any) -> None:
    caller = leased(square)
    assert caller.call(2) == (SUCCESS, 4)
    thief = Caller(square)
    thief.send(9)
    assert thief.answer() is None
    assert caller.call(3) == (SUCCESS, 9)
    caller.close()
    await_told(square, LeaseClosed)
    late = Caller(square)
    late.send(9)
    assert late.answer() is None


def test_a_client_may_connect_before_the_container_is_told_of_its_lease(square: Any) -> None:
    assert leased(square, "le-0").call(1) == (SUCCESS, 1)  # so that somebody looks at the door
    early = Caller(square, "le-1")
    early.send(7)
    square.order(OpenLease("le-1", "sesame", 3600.0))
    square.order(RecallLease("le-0"))
    answer = early.answer()
    assert answer is not None and payload.loads(answer[1]) == 49


@pytest.mark.parametrize("words", [b"\xff" * 100, codec.encode(CallDirectly("fc-1"), b"x"), b"\x00" * 8])
def test_what_is_no_greeting_ends_a_connection(square: Any, words: bytes) -> None:
    square.order(OpenLease("le-1", "sesame", 3600.0))
    with contextlib.closing(connected(square)) as stranger:
        stranger.sendall(words)
        assert stranger.recv(10) == b""
    assert Caller(square).call(3) == (SUCCESS, 9)


def test_a_client_that_breaks_the_protocol_loses_its_lease(square: Any) -> None:
    caller = leased(square)
    assert caller.call(3) == (SUCCESS, 9)
    caller.say(LeaseHello(PROTOCOL, "le-1", "sesame"))
    caller.flush()
    assert caller.answer() is None
    await_told(square, LeaseClosed)
    assert square.run((4,)) == [(SUCCESS, 16)]


def test_silent_strangers_keep_nobody_out(square: Any) -> None:
    silent = [Caller(square, "le-7") for _ in range(12)]
    assert leased(square).call(3) == (SUCCESS, 9)
    assert silent[0].answer() is None  # after a second


# ---------------------------------------------------------------- the end of a lease


def test_a_recalled_lease_begins_no_more_calls(square: Any) -> None:
    caller = leased(square)
    assert caller.call(2) == (SUCCESS, 4)
    square.order(RecallLease("le-1"))
    assert await_told(square, LeaseClosed) == [LeaseClosed("le-1")]
    assert reported(square) == [("fc-1", SUCCESS)]  # before
    with pytest.raises(BrokenPipeError):
        caller.send(3)
    assert caller.answer() is None
    square.order(RecallLease("le-1"))  # has ended, which the server did not know
    assert square.run((4,)) == [(SUCCESS, 16)]
    assert len(told(square, LeaseClosed)) == 1


def test_what_was_sent_before_a_recall_is_answered(start: Start) -> None:
    peer = start(function(), STUBBORN.replace("while True: time.sleep(60)", 'await_file("go")'))
    peer.ready()
    caller = leased(peer)
    caller.send("hang")
    await_file(peer.mark("hanging"))
    caller.send("next")  # which a good client does not
    peer.order(RecallLease("le-1"))
    await_told(peer, LeaseClosed)
    assert [type(message) for message in peer.messages if not isinstance(message, Ready)] == [Announce, LeaseClosed]
    peer.mark("go").touch()
    first, second = caller.answer(), caller.answer()
    assert first is not None and (first[0].call_id, first[0].status) == ("fc-1", SUCCESS)
    assert second is not None and (second[0].call_id, second[0].status) == ("fc-2", NOT_BEGUN)
    assert caller.answer() is None
    peer.read_until(lambda: len(reported(peer)) == 2)
    assert reported(peer) == [("fc-1", SUCCESS), ("fc-2", NOT_BEGUN)]


def test_a_lease_whose_client_never_came_is_closed(square: Any) -> None:
    square.order(OpenLease("le-1", "sesame", 3600.0))
    square.order(RecallLease("le-1"))
    await_told(square, LeaseClosed)
    late = Caller(square)
    late.send(3)
    assert late.answer() is None


def test_a_client_that_leaves_ends_its_lease(square: Any) -> None:
    caller = leased(square)
    assert caller.call(2) == (SUCCESS, 4)
    caller.close()
    await_told(square, LeaseClosed)
    assert reported(square) == [("fc-1", SUCCESS)]


def test_a_drain_recalls_and_finishes_what_runs(start: Start) -> None:
    peer = start(function(), STUBBORN.replace("while True: time.sleep(60)", 'await_file("go")'))
    peer.ready()
    caller = leased(peer)
    caller.send("hang")
    await_file(peer.mark("hanging"))
    peer.order(Drain(30.0))
    await_told(peer, LeaseClosed)
    (announced,) = told(peer, Announce)
    assert announced.call_id == "fc-1"
    peer.order(OpenLease("le-2", "sesame", 3600.0))  # it was on its way
    await_told(peer, LeaseClosed, 2)
    peer.mark("go").touch()
    answer = caller.answer()
    assert answer is not None and payload.loads(answer[1]) == "hang"
    code, _, _ = peer.wait()
    assert code == 0
    assert reported(peer) == [("fc-1", SUCCESS)]


def test_an_interrupt_leaves_the_running_call_without_an_answer(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    caller = leased(peer)
    caller.send("hang")
    await_file(peer.mark("hanging"))
    peer.order(Interrupt(30.0))
    assert caller.answer() is None
    assert peer.wait()[0] == 0
    assert [type(message) for message in peer.messages[1:]] == [Announce, LeaseClosed]


def test_a_container_that_is_killed_ends_the_connection(square: Any, start: Start) -> None:
    peer = start(function(), STUBBORN, name="second")
    peer.ready()
    caller = leased(peer)
    caller.send("hang")
    await_file(peer.mark("hanging"))
    peer.process.send_signal(signal.SIGKILL)
    assert caller.answer() is None


# ---------------------------------------------------------------- calls that take long


def test_a_long_call_is_announced_and_then_reported(start: Start) -> None:
    peer = start(function(), STUBBORN.replace("while True: time.sleep(60)", 'await_file("go")'))
    peer.ready()
    caller = leased(peer, announce_after_s=0.0)
    caller.send("hang", parent="fc-0:1")
    (announced,) = await_told(peer, Announce)
    assert (announced.call_id, announced.lease, announced.function_id) == ("fc-1", "le-1", "fu-1")
    assert announced.parent == "fc-0:1" and not announced.failed and not announced.is_lost
    assert payload.decode_arguments(peer.payloads[-1]) == (("hang",), {})
    peer.mark("go").touch()
    assert caller.answer() is not None
    await_told(peer, DirectReport)
    assert reported(peer) == [("fc-1", SUCCESS)]
    assert len(told(peer, Announce)) == 1


def test_what_waits_behind_a_long_call_is_given_back(start: Start) -> None:
    peer = start(function(), STUBBORN.replace("while True: time.sleep(60)", 'await_file("go")'))
    peer.ready()
    caller = leased(peer, announce_after_s=0.0)
    caller.send("hang")
    await_file(peer.mark("hanging"))
    for name in ("second", "third"):
        caller.send(name)
    behind = [caller.answer(), caller.answer()]
    assert [answer and (answer[0].call_id, answer[0].status) for answer in behind] == [("fc-2", 0), ("fc-3", 0)]
    peer.mark("go").touch()
    answer = caller.answer()
    assert answer is not None and payload.loads(answer[1]) == "hang"
    assert caller.call("fourth") == (SUCCESS, "fourth")
    peer.read_until(lambda: len(reported(peer)) == 4)
    assert reported(peer) == [("fc-2", NOT_BEGUN), ("fc-3", NOT_BEGUN), ("fc-1", SUCCESS), ("fc-4", SUCCESS)]


def test_a_call_that_was_cancelled_before_it_begins_does_not_run(square: Any) -> None:
    caller = leased(square)
    assert caller.call(2) == (SUCCESS, 4)
    square.order(CancelDirect("fc-2"))
    square.order(OpenLease("le-2", "sesame", 3600.0))
    square.order(RecallLease("le-2"))
    await_told(square, LeaseClosed)  # so that the orders before it were carried out
    assert caller.call(3) == (TERMINATED, b"")
    assert caller.call(4) == (SUCCESS, 16)


def test_a_cancelled_call_is_terminated_and_the_next_one_is_not(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    caller = leased(peer)
    caller.send("hang")
    await_file(peer.mark("hanging"))
    peer.order(CancelDirect("fc-9"))  # means nothing here
    peer.order(CancelDirect("fc-1"))
    answer = caller.answer()
    assert answer is not None and (answer[0].call_id, answer[0].status) == ("fc-1", TERMINATED)
    peer.order(CancelDirect("fc-1"))  # too late
    assert caller.call(2) == (SUCCESS, 2)
    peer.read_until(lambda: len(reported(peer)) == 2)
    assert reported(peer) == [("fc-1", TERMINATED), ("fc-2", SUCCESS)]


def test_late_cancellations_hit_no_other_call(square: Any) -> None:
    caller = leased(square)
    for number in range(200):
        square.order(CancelDirect(f"fc-{number}"))  # of the one before, which is over, or is over in a moment
        assert caller.call(number) == (SUCCESS, number * number)


def test_a_client_that_leaves_a_running_call_has_abandoned_it(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    caller = leased(peer)
    caller.send("hang")
    await_file(peer.mark("hanging"))
    caller.close()
    await_told(peer, Abandoned)
    assert [type(message) for message in peer.messages[1:]] == [Announce, Abandoned]
    peer.order(CancelDirect("fc-1"))
    await_told(peer, LeaseClosed)
    assert reported(peer) == [("fc-1", TERMINATED)]
    assert peer.run((1,)) == [(SUCCESS, 1)]


def test_a_child_that_user_code_forks_does_not_hold_the_connection(start: Start) -> None:
    code = (
        SIGNALS
        + """
def f(i):
    if i == "fork" and os.fork() == 0:
        reached("forked")
        await_file("go")
        os._exit(0)
    return i
"""
    )
    peer = start(function(), code)
    peer.ready()
    caller = leased(peer)
    assert caller.call("fork") == (SUCCESS, "fork")
    await_file(peer.mark("forked"))
    assert caller.call(2) == (SUCCESS, 2)
    os.kill(peer.process.pid, signal.SIGKILL)
    assert caller.answer() is None
    peer.mark("go").touch()


# ---------------------------------------------------------------- containers without leases


@pytest.mark.parametrize("spec", [concurrent(), function(is_async=True), function(single_use=True)])
def test_other_containers_take_no_calls(start: Start, spec: Any) -> None:
    peer = start(spec, "async def f(x): return x" if spec.is_async else "def f(x): return x")
    assert not peer.ready().takes_calls
    assert not os.path.exists(peer.calls_at)
    assert peer.end()[0] == 0
