"""User values and exceptions survive the way there and back, and what cannot says why."""

from __future__ import annotations

import linecache
import threading
import traceback
from typing import Any

import pytest

from swell.errors import DeserializationError, ExecutionError, ResourceExhausted, SerializationError
from swell.wire import payload

WHERE = "ta-0"


def travel(exc: BaseException, **options: Any) -> BaseException:
    return payload.decode_exception(payload.encode_exception(exc, where=WHERE, hide=(), **options))


def raised(exc: BaseException) -> BaseException:
    try:
        raise exc
    except BaseException as error:
        return error


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", b"bytes", [1, {"a": (2, {3})}], int, len, ValueError])
def test_values_return_equal(value: Any) -> None:
    assert payload.loads(payload.dumps(value)) == value


def test_what_pickle_cannot_do_cloudpickle_does() -> None:
    offset = 3
    assert payload.loads(payload.dumps(lambda x: x + offset))(4) == 7


def test_what_nobody_can_pickle_is_named() -> None:
    with pytest.raises(SerializationError, match=r"type list: cannot pickle '_thread\.lock'"):
        payload.dumps([threading.Lock()])


@pytest.mark.parametrize("error", [ValueError("why"), LookupError("where"), MemoryError("how much")])
def test_whatever_reduce_raises_becomes_a_serialization_error(error: Exception) -> None:
    class Nasty:
        def __reduce__(self) -> str:
            raise error

    with pytest.raises(SerializationError, match=str(error)) as caught:
        payload.dumps(Nasty())
    assert caught.value.__cause__ is error


def test_control_flow_passes_through_pickling() -> None:
    class Interrupted:
        def __reduce__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        payload.dumps(Interrupted())


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "EOFError"),
        (b"garbage", "UnpicklingError"),
        (b"\x80\x05cno_such_module\nX\n.", "must be installed and importable"),
        (b"\x80\x05cbuiltins\nno_such_name\n.", "must exist at the top level"),
    ],
)
def test_unreadable_data_tells_what_is_missing(data: bytes, text: str) -> None:
    with pytest.raises(DeserializationError, match=text):
        payload.loads(data)


def test_arguments() -> None:
    data = payload.encode_arguments((1, "two"), {"three": 3})
    assert payload.decode_arguments(data) == ((1, "two"), {"three": 3})


@pytest.mark.parametrize("value", [3, (1,), ((), []), [(), {}], ((), {}, 1)])
def test_what_is_no_arguments_is_refused(value: Any) -> None:
    with pytest.raises(DeserializationError, match="the arguments of a call"):
        payload.decode_arguments(payload.dumps(value))


@pytest.mark.parametrize("arguments", [[1], 5, None])
def test_arguments_that_are_no_sequence_are_the_callers_type_error(arguments: Any) -> None:
    with pytest.raises(TypeError, match=f"sequence of arguments.* got {type(arguments).__name__}"):
        payload.decode_arguments(payload.dumps((arguments, {})))


def test_arguments_of_one_input_share_objects() -> None:
    shared = [1]
    args, kwargs = payload.decode_arguments(payload.encode_arguments((shared, shared), {"k": shared}))
    assert args[0] is args[1] is kwargs["k"]


def test_buffers_stay_apart_and_return() -> None:
    import pickle

    data = bytearray(b"x" * 100)
    pickled, buffers = payload.dumps_apart(pickle.PickleBuffer(data))
    assert len(pickled) < 50
    assert len(buffers) == 1
    assert payload.loads(pickled, [buffers[0].raw()]) == data


def test_buffers_of_a_failed_attempt_do_not_stay() -> None:
    import pickle

    value = [pickle.PickleBuffer(bytearray(b"abc")), lambda: 1]  # pickle takes the buffer, then fails on the lambda
    pickled, buffers = payload.dumps_apart(value)
    assert len(buffers) == 1
    assert bytes(payload.loads(pickled, [buffers[0].raw()])[0]) == b"abc"


# ---------------------------------------------------------------- exceptions


class TwoArguments(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")
        self.total = a + b


class KeywordOnly(Exception):
    def __init__(self, *, reason: str) -> None:
        super().__init__()
        self.reason = reason


class Liar(Exception):
    def __reduce__(self) -> Any:
        return str, ("no exception",)


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("I do not tell")

    __repr__ = __str__


class Holder(Exception):
    def __init__(self) -> None:
        super().__init__("held")
        self.lock = threading.Lock()


class Aloof(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("text", 3),
        KeyError("k"),
        SystemExit(3),
        KeyboardInterrupt(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        OSError(2, "missing", "file"),
        ExceptionGroup("several", [ValueError(1), TypeError(2)]),
        TwoArguments(1, 2),
        KeywordOnly(reason="so"),
        Aloof("x"),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_type_and_args_return(exc: BaseException) -> None:
    back = travel(raised(exc))
    assert type(back) is type(exc)
    assert repr(back.args) == repr(exc.args)


def test_attributes_and_notes_return() -> None:
    exc = TwoArguments(1, 2)
    exc.add_note("and a note")
    back = travel(exc)
    assert isinstance(back, TwoArguments)
    assert back.total == 3
    assert back.__notes__ == ["and a note"]


def test_fields_of_our_own_errors_return() -> None:
    back = travel(ResourceExhausted("pending_sync_max", 5, 0.5))
    assert isinstance(back, ResourceExhausted)
    assert (back.limit, back.value, back.retry_after_s) == ("pending_sync_max", 5, 0.5)


def test_exceptions_that_lie_or_keep_silent_return_as_what_they_are() -> None:
    assert type(travel(raised(Liar("x")))) is Liar
    assert type(travel(raised(Mute("x")))) is Mute


def test_exception_of_a_local_class_is_rebuilt_from_its_value() -> None:
    class Local(Exception):
        pass

    assert type(travel(Local("x"))).__name__ == "Local"


def test_unpicklable_exception_is_described_with_its_traceback() -> None:
    back = travel(raised(Holder()))
    assert isinstance(back, SerializationError)
    assert f"{__name__}.Holder" in str(back)
    assert "lock" in str(back)
    assert "in raised" in str(back)


def test_exception_the_caller_cannot_rebuild_carries_the_remote_traceback() -> None:
    remote: Any = payload._decoder.decode(payload.encode_exception(raised(ValueError("v")), where=WHERE, hide=()))
    from msgspec import msgpack, structs

    data = msgpack.encode(structs.replace(remote, pickled=b"\x80\x05cno_such_module\nX\n."))
    back = payload.decode_exception(data)
    assert isinstance(back, ExecutionError)
    assert "no_such_module" in str(back)
    assert "ValueError: v" in str(back)
    assert traceback.extract_tb(back.__traceback__)[-1].name == "raised"


@pytest.mark.parametrize("data", [b"", b"\x93", b"garbage", b"\xc0"])
def test_what_is_no_exception_at_all_is_an_execution_error(data: bytes) -> None:
    assert isinstance(payload.decode_exception(data), ExecutionError)


def test_first_byte_tells_an_exception_from_text() -> None:
    assert payload.encode_exception(ValueError(), where=WHERE, hide=())[0] == 0x93


def deep(n: int) -> None:
    if n == 0:
        raise ValueError("deep down")
    deep(n - 1)


def test_frames_are_transplanted_with_lines_and_source() -> None:
    try:
        deep(2)
    except ValueError as error:
        back = travel(error)
    frames = traceback.extract_tb(back.__traceback__)
    assert [frame.name for frame in frames[1:]] == ["deep"] * 3
    assert {frame.filename for frame in frames} == {f"<{WHERE}>:{__file__}"}
    assert frames[-1].line == 'raise ValueError("deep down")'
    lines: dict[tuple[str, int], str] = vars(back)["__line_cache__"]
    assert lines[frames[-1].filename, frames[-1].lineno or 0].strip() == frames[-1].line
    printed = "".join(traceback.format_exception(back))
    assert 'raise ValueError("deep down")' in printed
    assert "^" not in printed  # no markers: columns did not travel


def test_frames_know_their_own_line() -> None:
    """Notebooks ask the frame and its code for line and name, not the traceback around it."""
    try:
        deep(1)
    except ValueError as error:
        back = travel(error)
    told = traceback.extract_tb(back.__traceback__)
    frames = [frame for frame, _ in traceback.walk_tb(back.__traceback__)]
    assert [frame.f_lineno for frame in frames] == [entry.lineno for entry in told]
    assert [frame.f_code.co_qualname for frame in frames] == [entry.name for entry in told]


def test_leading_frames_are_hidden_later_ones_are_not() -> None:
    try:
        deep(1)
    except ValueError as error:
        data = payload.encode_exception(error, where=WHERE, hide=[__file__])
        some = payload.encode_exception(error, where=WHERE, hide=["/elsewhere"])
    hidden = payload.decode_exception(data)
    assert hidden.__traceback__ is None
    shown = payload.decode_exception(some)
    assert len(traceback.extract_tb(shown.__traceback__)) == 3


def test_endless_recursion_travels_in_part() -> None:
    def endless() -> None:
        endless()

    try:
        endless()
    except RecursionError as error:
        back = travel(error)
    assert type(back) is RecursionError
    assert len(traceback.extract_tb(back.__traceback__)) == payload.FRAMES_MAX


def test_long_text_is_trimmed_and_what_is_too_large_is_described() -> None:
    back = travel(raised(ValueError("x" * (payload.EXCEPTION_TEXT_MAX + 5))))
    assert type(back) is ValueError  # the exception itself is small enough
    huge = travel(raised(ValueError("x" * payload.EXCEPTION_BYTES_MAX)))
    assert isinstance(huge, SerializationError)
    assert "characters left out" in str(huge)
    assert len(str(huge)) < payload.EXCEPTION_TEXT_MAX + 1000


def test_text_with_lone_surrogates_travels() -> None:
    assert type(travel(raised(ValueError("\ud800")))) is ValueError


def test_remembered_source_is_bounded() -> None:
    for number in range(payload.SOURCES_MAX + 20):
        payload.decode_exception(payload.encode_exception(raised(ValueError()), where=f"ta-{number}", hide=()))
    remembered = [name for name in linecache.cache if name.startswith("<ta-")]
    assert len(remembered) <= payload.SOURCES_MAX


def test_returned_exception_can_be_raised_and_sent_again() -> None:
    first = travel(raised(ValueError("once")))
    second = travel(raised(first))
    assert type(second) is ValueError
    names = [frame.filename for frame in traceback.extract_tb(second.__traceback__)]
    assert f"<{WHERE}>:<{WHERE}>:{__file__}" in names
