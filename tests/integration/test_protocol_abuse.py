"""Whatever somebody writes to the server's socket: that connection suffers, and nothing else."""

from __future__ import annotations

import os
import random
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import calls_app as c
import pytest
from patience import patience

import swell
from swell.exception import VersionError
from swell.model import CallKind
from swell.sim.extremes import Extremes
from swell.wire import apps, codec, queries
from swell.wire import messages as m
from swell.wire.payload import encode_arguments, loads

PATIENCE_S = patience(60.0)
HELLO = m.Hello("client", m.PROTOCOL, "abuser")
PREFIX = struct.Struct("<II")


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(c.app, frame_max=1 << 20)


@pytest.fixture(autouse=True)
def others_notice_nothing(running: swell.App) -> Iterator[None]:
    """Calls before, during and after every test get their results."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def call() -> None:
        i = 0
        while not stop.is_set():
            try:
                assert c.square.remote(i) == i * i
            except BaseException as error:
                failures.append(error)
                return
            i += 1

    thread = threading.Thread(target=call)
    thread.start()
    yield
    stop.set()
    thread.join()
    assert not failures
    assert list(c.square.map(range(100))) == [i * i for i in range(100)]


def path_of_server() -> str:
    session = c.app.session
    assert session is not None
    return session.client.address.removeprefix("unix:")


class Abuser:
    """A raw connection to the server."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(path_of_server())
        self._decoder = codec.for_client(64 << 20)
        self._frames: list[tuple[m.Message, bytes]] = []

    def write(self, data: bytes) -> None:
        """Write as much as the server still wants to read."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def say(self, message: m.Message, payload: bytes = b"") -> None:
        self.write(codec.encode(message, payload))

    def hear(self) -> tuple[m.Message, bytes] | None:
        """Return the next message; None if the server has hung up."""
        while not self._frames:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def is_shut_out(self) -> bool:
        """Read to the end, which there is only if the server closes the connection."""
        while self.hear() is not None:
            pass
        return True

    def is_served(self) -> bool:
        """Tell whether the connection is still good for a call."""
        call_id = f"fc-{os.urandom(8).hex()}"
        self.say(
            m.OpenCall(
                call_id=call_id,
                function_id=function_id(),
                method="",
                kind=CallKind.REMOTE,
                ends=[len(ARGUMENTS)],
                sealed=True,
            ),
            ARGUMENTS,
        )
        while (heard := self.hear()) is not None:
            if isinstance(heard[0], m.Outputs) and heard[0].call_id == call_id:
                return loads(heard[1]) == 9
        return False


ARGUMENTS = encode_arguments((3,), {})


def function_id() -> str:
    return c.square.object_id


@contextmanager
def abuser(*, greets: bool = True) -> Iterator[Abuser]:
    one = Abuser()
    try:
        if greets:
            one.say(HELLO)
            heard = one.hear()
            assert heard is not None
            assert isinstance(heard[0], m.Welcome)
        yield one
    finally:
        one.socket.close()


# ---------------------------------------------------------------- bytes


@pytest.mark.parametrize("greets", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_garbage_ends_the_connection(seed: int, greets: bool) -> None:
    with abuser(greets=greets) as one:
        one.write(random.Random(seed).randbytes(200_000))
        assert one.is_shut_out()


@pytest.mark.parametrize(
    "data",
    [
        PREFIX.pack(0xFFFFFFFF, 0),
        PREFIX.pack(10, 0xFFFFFFFF),
        PREFIX.pack(10, (1 << 20) + 1),
        PREFIX.pack(0, 0),
        PREFIX.pack(1, 0) + b"\xc0",
        PREFIX.pack(2, 0) + b"\x91\x63",
        PREFIX.pack(4, 0) + b"\xdd\xff\xff\xff",
        PREFIX.pack(5000, 0) + b"\x91" * 5000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["header", "payload", "just over", "empty", "nil", "unknown", "long array", "deep", "http"],
)
@pytest.mark.parametrize("greets", [False, True])
def test_what_is_no_frame_ends_the_connection(data: bytes, greets: bool) -> None:
    with abuser(greets=greets) as one:
        one.write(data)
        assert one.is_shut_out()


@pytest.mark.parametrize("length", [1, 7, 8, 20, -1])
def test_a_frame_cut_short_harms_nobody(length: int) -> None:
    frame = codec.encode(
        m.OpenCall(
            call_id="fc-cut",
            function_id=function_id(),
            method="",
            kind=CallKind.REMOTE,
            ends=[len(ARGUMENTS)],
            sealed=True,
        ),
        ARGUMENTS,
    )
    with abuser() as one:
        one.write(frame[:length])
    with abuser() as one:
        one.write(frame[:length])
        time.sleep(0.05)  # somebody waits in the middle of a frame
        with abuser() as another:
            assert another.is_served()
        one.write(frame[length:])
        heard = one.hear()
        assert heard is not None
        assert loads(heard[1]) == 9


def test_byte_by_byte_is_as_good_as_at_once() -> None:
    frame = codec.encode(
        m.OpenCall(
            call_id="fc-slow",
            function_id=function_id(),
            method="",
            kind=CallKind.REMOTE,
            ends=[len(ARGUMENTS)],
            sealed=True,
        ),
        ARGUMENTS,
    )
    with abuser() as one:
        for byte in frame:
            one.write(bytes([byte]))
        heard = one.hear()
        assert heard is not None
        assert loads(heard[1]) == 9


def test_hundreds_who_say_nothing_keep_nobody_out() -> None:
    with ExitStack() as silent, abuser() as one:
        for _ in range(300):
            silent.enter_context(abuser(greets=False))
        assert one.is_served()
        with abuser() as late:
            assert late.is_served()


def test_somebody_who_does_not_read_keeps_nobody_waiting() -> None:
    with abuser() as one:
        one.socket.settimeout(1.0)
        large = encode_arguments((bytes(100_000),), {})
        with suppress(TimeoutError):  # the server has stopped reading
            for i in range(200):
                call = m.OpenCall(
                    call_id=f"fc-deaf{i}",
                    function_id=c.echo.object_id,
                    method="",
                    kind=CallKind.REMOTE,
                    ends=[len(large)],
                    sealed=True,
                )
                one.say(call, large)
        with abuser() as another:
            assert another.is_served()


def test_somebody_with_much_to_say_keeps_nobody_waiting() -> None:
    questions = 30_000
    with abuser() as one, abuser() as another:
        flood = b"".join(codec.encode(m.GetStats(i, function_id())) for i in range(1, questions + 1))
        answered: list[int] = []

        def listen() -> None:
            while len(answered) < questions and (heard := one.hear()) is not None:
                assert isinstance(heard[0], m.Stats)
                answered.append(heard[0].request)

        threads = [threading.Thread(target=one.write, args=(flood,)), threading.Thread(target=listen)]
        for thread in threads:
            thread.start()
        while not answered:
            time.sleep(0.001)
        assert another.is_served()
        assert len(answered) < questions  # the other did not have to wait for all of this
        for thread in threads:
            thread.join()
        assert answered == list(range(1, questions + 1))


# ---------------------------------------------------------------- words


def test_another_version_is_told_so() -> None:
    with abuser(greets=False) as one:
        one.say(m.Hello("client", m.PROTOCOL + 1, "from the future"))
        heard = one.hear()
        assert heard is not None
        failed = heard[0]
        assert isinstance(failed, m.Failed)
        assert failed.code == VersionError.code
        assert f"protocol {m.PROTOCOL + 1}" in failed.text
        assert f"server {m.PROTOCOL}" in failed.text
        assert one.is_shut_out()


@pytest.mark.parametrize(
    "message",
    [
        m.GetStats(1, "fu-1"),
        m.Hello("container", m.PROTOCOL, "ta-nobody", "guess"),
        m.Hello("control", m.PROTOCOL, "ta-nobody", "guess"),
        m.Hello("admin", m.PROTOCOL, "me"),
        m.Hello("", m.PROTOCOL, ""),
    ],
    ids=["no hello", "container", "control", "admin", "nobody"],
)
def test_whoever_is_not_expected_is_not_let_in(message: m.Message) -> None:
    with abuser(greets=False) as one:
        one.say(message)
        assert one.is_shut_out()


@pytest.mark.parametrize("token", ["wrong", "wröng"])
def test_a_container_with_a_wrong_token_is_not_let_in(token: str) -> None:
    container = c.here.remote()["container"]
    for role in ("container", "control"):
        with abuser(greets=False) as one:
            one.say(m.Hello(role, m.PROTOCOL, container, token))
            heard = one.hear()
            assert heard is not None, "it was told why"
            assert isinstance(heard[0], m.Failed)
            assert "the token is not that of" in heard[0].text
            assert one.is_shut_out()
    assert c.here.remote()["container"] == container  # the real one is as it was


@pytest.mark.parametrize(
    "message",
    [m.Ready(1, 0.1), m.Completed([(1, 0, 1)], [0]), m.Returned(1, 0), m.Leaving(), m.StartFailed("no"), HELLO],
    ids=lambda message: type(message).__name__,
)
def test_a_client_that_speaks_as_somebody_else_is_told_so(message: m.Message) -> None:
    with abuser() as one:
        one.say(message)
        heard = one.hear()
        assert heard is not None
        assert isinstance(heard[0], m.Failed)
        assert type(message).__name__ in heard[0].text


@pytest.mark.parametrize(
    ("ends", "payload", "blobs"),
    [
        ([1_000_000], b"short", []),
        ([5, 3], b"12345", []),
        ([-1], b"", []),
        ([2**62], b"", []),
        ([5], b"12345", [7]),
        ([5], b"12345", [-1]),
    ],
    ids=["beyond", "falling", "negative", "huge", "blob beyond", "blob negative"],
)
def test_inputs_that_do_not_add_up_concern_their_call_or_connection_only(
    ends: list[int], payload: bytes, blobs: list[int]
) -> None:
    with abuser() as one:
        one.say(
            m.OpenCall(
                call_id="fc-bad",
                function_id=function_id(),
                method="",
                kind=CallKind.MAP,
                ends=ends,
                sealed=True,
                blobs=blobs,
            ),
            payload,
        )
        heard = one.hear()  # a refusal, a failed input, or the end: anything but silence
        assert heard is None or isinstance(heard[0], (m.Refused, m.Outputs, m.Failed))


def test_a_file_outside_the_servers_directory_is_neither_read_nor_deleted(tmp_path: Path) -> None:
    precious = tmp_path / "precious.0.in"
    precious.write_bytes(encode_arguments((3,), {}))
    upwards = os.path.relpath(tmp_path / "precious", Path(path_of_server()).parent / "blobs")
    for call_id, name in ((upwards, b"whatever"), ("fc-reads", os.fsencode(f"{upwards}.0.in"))):
        with abuser() as one:
            one.say(
                m.OpenCall(
                    call_id=call_id,
                    function_id=function_id(),
                    method="",
                    kind=CallKind.REMOTE,
                    ends=[len(name)],
                    sealed=True,
                    blobs=[0],
                ),
                name,
            )
            heard = one.hear()
            if heard is not None and isinstance(heard[0], m.Outputs):
                assert heard[0].failures
    assert precious.exists()


@pytest.mark.parametrize(
    "message",
    [
        m.PutInputs("fc-nobody", 3, [1], True),
        m.CancelCall("fc-nobody"),
        m.Unwatch(1, "fc-nobody"),
        m.TakeItems("fc-nobody", 5, 1 << 50),
        m.GetStats(1, "fu-nobody"),
        m.DescribeCall(1, "fc-nobody"),
        m.Watch(1, "fc-nobody", 0, 1),
        m.Watch(1, "fc-nobody", -5, 1 << 60),
        m.CloseApp(1, "ap-nobody"),
        m.OpenCall(call_id="fc-none", function_id="fu-nobody", method="", kind=CallKind.REMOTE, ends=[1], sealed=True),
    ],
    ids=repr,
)
def test_questions_about_what_does_not_exist_leave_the_connection_as_it_was(message: m.Message) -> None:
    with abuser() as one:
        one.say(message, b"1")
        assert one.is_served()


@pytest.mark.parametrize(
    "message",
    [
        m.GetStats(1, "f" * 300),
        m.DescribeCall(1, "c" * 300),
        apps.RedeployApp(1, "app", 2**63),
        apps.FindFunction(1, "app", "f", 2**64 - 1),
        m.Watch(1, "fc-nobody", 0, 2**63),
        queries.ListContainers(1, "", 2**63),
        queries.AskStory(1, "x" * 5_000),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_value_out_of_bounds_is_one_error_and_the_connection_goes_on(message: m.Message) -> None:
    with abuser() as one:
        one.say(message)
        heard = one.hear()
        assert heard is not None
        failed = heard[0]
        assert isinstance(failed, m.Failed)
        assert failed.request == 1
        assert failed.code == "invalid"
        assert type(message).__name__ in failed.text
        assert one.is_served()


def test_a_call_with_a_value_out_of_bounds_is_refused_and_the_connection_goes_on() -> None:
    with abuser() as one:
        one.say(
            m.OpenCall(
                call_id="fc-large",
                function_id=function_id(),
                method="",
                kind=CallKind.REMOTE,
                ends=[2**63],
                sealed=True,
            )
        )
        heard = one.hear()
        assert heard is not None
        assert isinstance(heard[0], m.Refused)
        assert heard[0].call_id == "fc-large"
        assert one.is_served()


@pytest.mark.parametrize("message", [m.TakeItems("fc-nobody", 5, 1 << 60), m.TakeItems("fc-nobody", -5, 1)], ids=repr)
def test_what_has_no_answer_and_does_not_fit_ends_the_connection_with_an_error(message: m.Message) -> None:
    with abuser() as one:
        one.say(message)
        heard = one.hear()
        assert heard is not None
        assert isinstance(heard[0], m.Failed)
        assert heard[0].request == 0
        assert "TakeItems" in heard[0].text
        assert one.is_shut_out()


@pytest.mark.parametrize("about", ["in-x:²", "in-x:٣", "in-x:" + "9" * 900, "fc-", "in-", "\0", "in-x:-1"])
def test_a_question_about_anything_is_answered(about: str) -> None:
    with abuser() as one:
        one.say(queries.AskStory(4, about))
        heard = one.hear()
        assert heard is not None
        assert isinstance(heard[0], (m.Failed, queries.Story))
        assert one.is_served()


@pytest.mark.parametrize("seed", range(3))
def test_messages_with_extreme_values_end_nobody_else(seed: int) -> None:
    """Each is answered or ends its own connection; `python -m swell.sim extremes` tries many more on an engine."""
    extremes = Extremes(random.Random(seed), lambda name: [function_id()] if name == "function_id" else ())
    for _ in range(20):
        with abuser() as one:
            one.socket.settimeout(PATIENCE_S)
            for _ in range(10):
                one.write(extremes.frame())
            one.say(m.GetStats(77, function_id()))
            while (heard := one.hear()) is not None:
                if isinstance(heard[0], m.Stats) and heard[0].request == 77:
                    break


def test_a_watch_over_a_senseless_range_is_answered_at_once() -> None:
    call = c.square.spawn_map(range(10))
    assert list(call.iter()) == [i * i for i in range(10)]
    for first, last in ((0, 1 << 62), (-(1 << 62), 1 << 62), (5, 3)):
        with abuser() as one:
            one.say(m.Watch(1, call.object_id, first, last))
            assert one.is_served()


# ---------------------------------------------------------------- the way in


def test_nobody_else_may_reach_the_socket() -> None:
    path = path_of_server()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
