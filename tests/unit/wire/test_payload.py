"""User values and exceptions survive the way there and back, and what cannot says why."""

from __future__ import annotations

import linecache
import threading
import traceback
from typing import Any

import pytest
from msgspec import msgpack

from swell.errors import DeserializationError, ExecutionError, ResourceExhausted, SerializationError
from swell.wire import payload, remote_traceback

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


def hop(exc: BaseException, hops: int = 1) -> BaseException:
    for _ in range(hops):
        exc = travel(raised(exc))
    return exc


def facts(exc: BaseException) -> tuple[Any, ...]:
    return (
        type(exc),
        str(exc),
        repr(exc.args),
        getattr(exc, "errno", None),
        getattr(exc, "filename", None),
        vars(exc).keys(),
    )


class Failed(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"failed with {code}")
        self.code = code


class Missing(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "gone", path)


class Slotted(Exception):
    __slots__ = ("__hidden", "code", "message", "unset")

    def __init__(self, code: int) -> None:
        super().__init__("slotted")
        self.code, self.message, self.__hidden = code, None, code + 1

    def hidden(self) -> int:
        return self.__hidden


class SaysHow(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code, self.lock = code, threading.Lock()

    def __reduce__(self) -> Any:
        return SaysHow, (self.code,)


class SaysItWrong(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(f"so: {text}")

    def __reduce__(self) -> Any:
        return SaysItWrong, self.args


class Errors(ExceptionGroup[Exception]):
    def __new__(cls, code: int, errors: list[Exception]) -> Errors:
        made = super().__new__(cls, f"{len(errors)} errors", errors)
        made.code = code
        return made

    def __init__(self, code: int, errors: list[Exception]) -> None:
        self.code = code


class Counted(Exception):
    made = 0

    def __init__(self) -> None:
        type(self).made += 1


@pytest.mark.parametrize("hops", [1, 3])
@pytest.mark.parametrize(
    "exc",
    [
        Failed(3),
        Missing("/x"),
        Slotted(3),
        SaysHow(3),
        SaysItWrong("x"),
        OSError(2, "missing", "from", None, "to"),
        BlockingIOError(11, "later", 5),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        SyntaxError("bad", ("f.py", 3, 4, "x = (", 3, 6)),
        ImportError("none", name="some", path="/some"),
        AttributeError("none", name="some", obj=threading.Lock()),
        KeyError("k"),
        SystemExit(3),
        Errors(3, [Failed(4), Missing("/y")]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exceptions_arrive_as_they_were_raised_however_often_they_travel(exc: BaseException, hops: int) -> None:
    raised_facts = facts(exc)
    back = hop(exc, hops)
    vars(back).pop("__line_cache__", None)
    assert facts(back) == raised_facts
    for name in ("code", "message", "filename2", "start", "lineno", "end_offset", "name", "path", "characters_written"):
        if hasattr(exc, name):
            assert getattr(back, name) == getattr(exc, name), name
    if isinstance(exc, Slotted):
        assert isinstance(back, Slotted)
        assert back.hidden() == 4
        assert not hasattr(back, "unset")
    if isinstance(exc, Errors):
        assert isinstance(back, Errors)
        assert [facts(member)[:4] for member in back.exceptions] == [facts(member)[:4] for member in exc.exceptions]


def test_the_constructor_of_an_exception_does_not_run_again() -> None:
    exc, before = Counted(), Counted.made
    assert type(hop(exc, 2)) is Counted
    assert Counted.made == before


def test_an_exception_that_another_holds_arrives_too() -> None:
    exc = ValueError("all failed", Failed(3))
    exc.last = Missing("/x")  # pyright: ignore[reportAttributeAccessIssue]
    back: Any = hop(exc, 2)
    assert (str(back.args[1]), back.args[1].code) == ("failed with 3", 3)
    assert (str(back.last), back.last.errno) == ("[Errno 2] gone: '/x'", 2)


def chained() -> BaseException:
    try:
        try:
            try:
                deep(0)
            except ValueError:
                raise Missing("/x")  # noqa: B904
        except Missing as error:
            raise Failed(3) from error
    except Failed as error:
        error.add_note("noted")
        return error


@pytest.mark.parametrize("hops", [1, 2])
def test_what_it_was_raised_from_arrives_with_its_tracebacks(hops: int) -> None:
    back = hop(chained(), hops)
    assert isinstance(back, Failed)
    assert back.__notes__ == ["noted"]
    missing = back.__cause__
    assert isinstance(missing, Missing)
    assert back.__context__ is missing
    assert back.__suppress_context__
    assert missing.errno == 2
    value = missing.__context__
    assert isinstance(value, ValueError)
    assert (missing.__cause__, missing.__suppress_context__) == (None, False)
    assert traceback.extract_tb(value.__traceback__)[-1].line == 'raise ValueError("deep down")'
    printed = "".join(traceback.format_exception(back))
    assert printed.index("ValueError: deep down") < printed.index("[Errno 2] gone") < printed.index("failed with 3")
    assert printed.index("During handling of the above") < printed.index("The above exception was the direct cause")


def test_members_of_a_group_arrive_with_their_tracebacks_and_causes() -> None:
    group = ExceptionGroup("outer", [chained(), ExceptionGroup("inner", [raised(Missing("/y"))])])  # type: ignore[list-item]
    back = hop(group, 2)
    assert isinstance(back, ExceptionGroup)
    failed, inner = back.exceptions
    assert isinstance(failed.__cause__, Missing)
    assert traceback.extract_tb(failed.__traceback__)[-1].name == "chained"
    assert isinstance(inner, ExceptionGroup)
    assert str(inner.exceptions[0]) == "[Errno 2] gone: '/y'"
    assert traceback.extract_tb(inner.exceptions[0].__traceback__)[-1].name == "raised"


def test_one_that_cannot_travel_spoils_no_other() -> None:
    exc = ExceptionGroup("several", [Failed(1), Holder()])
    exc.__cause__ = Holder()
    back = travel(exc)
    assert isinstance(back, ExceptionGroup)
    assert str(back.exceptions[0]) == "failed with 1"
    assert isinstance(back.exceptions[1], SerializationError)
    assert isinstance(back.__cause__, SerializationError)
    assert "Holder" in str(back.__cause__)


def test_one_that_cannot_be_read_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    exc = Failed(1)
    exc.__cause__ = Counted()
    data = payload.encode_exception(exc, where=WHERE, hide=())
    monkeypatch.delattr(f"{__name__}.Counted")
    back = payload.decode_exception(data)
    assert isinstance(back, Failed)
    assert isinstance(back.__cause__, ExecutionError)
    assert "Counted" in str(back.__cause__)


def test_chains_that_loop_or_never_end_are_bounded() -> None:
    loop = ValueError("loop")
    other = Failed(1)
    loop.__cause__, other.__context__ = other, loop
    back = travel(loop)
    assert back.__cause__ is not None
    assert back.__cause__.__context__ is back
    long = last = ValueError(0)
    for number in range(1, 10_000):
        last.__cause__ = ValueError(number)
        last = last.__cause__
    found: BaseException | None = travel(long)
    count = 0
    while found is not None:
        count, found = count + 1, found.__cause__
    assert count == payload.EXCEPTIONS_MAX
    many = travel(ExceptionGroup("many", [ValueError(number) for number in range(1_000)]))
    assert isinstance(many, ExceptionGroup)
    assert len(many.exceptions) == 1_000


def test_an_enormous_cause_is_left_out_and_the_exception_arrives() -> None:
    exc = Failed(3)
    exc.__cause__ = ValueError("x" * payload.EXCEPTION_BYTES_MAX)
    data = payload.encode_exception(exc, where=WHERE, hide=())
    assert len(data) < payload.EXCEPTION_TEXT_MAX + 100_000
    back = payload.decode_exception(data)
    assert isinstance(back, Failed)
    assert isinstance(back.__cause__, SerializationError)


class Exits(Exception):
    """Whatever is asked of it ends the program."""

    def __str__(self) -> str:
        raise SystemExit

    def __reduce__(self) -> Any:
        raise SystemExit

    __repr__ = __str__


class Loops(Exception):
    def __str__(self) -> str:
        return str(self)

    __repr__ = __str__


@pytest.mark.parametrize("exc", [Exits("x"), Loops("x"), Mute("x")], ids=lambda exc: type(exc).__name__)
def test_whatever_an_exception_does_when_it_is_asked_it_arrives(exc: Exception) -> None:
    assert type(travel(raised(exc))) is type(exc)
    assert type(exc).__name__ in payload.format_exception(exc, hide=())
    assert payload.described(exc)[0] == f"{__name__}.{type(exc).__name__}"


def test_names_of_files_and_functions_need_not_be_text() -> None:
    code = compile("def f(): raise ValueError('\\udcff')", "/x/\udcff.py", "exec")
    names: dict[str, Any] = {}
    exec(code.replace(co_name="\udcfe"), names)
    try:
        names["f"]()
    except ValueError as error:
        back = travel(error)
        assert payload.described(error) == ("ValueError", "\\udcff")
    assert back.args == ("\udcff",)
    assert traceback.extract_tb(back.__traceback__)[-1].filename == f"<{WHERE}>:/x/\\udcff.py"


def test_a_loader_that_raises_anything_costs_a_line_of_source() -> None:
    class Loader:
        def get_source(self, name: str) -> str:
            raise SystemExit

    names: dict[str, Any] = {"__loader__": Loader(), "__name__": "odd"}
    exec(compile("def f(): raise ValueError('why')", "<odd>", "exec"), names)
    try:
        names["f"]()
    except ValueError as error:
        back = travel(error)
    assert traceback.extract_tb(back.__traceback__)[-1].name == "f"


def test_exceptions_of_an_older_version_are_read() -> None:
    import pickle

    class Former:
        def __reduce__(self) -> Any:
            return payload._rebuild, (Slotted, ("slotted",), {"more": 1})

    back = payload.decode_exception(msgpack.encode((pickle.dumps(Former()), "text", [("f.py", 1, "f", "x")])))
    assert (type(back), back.args, vars(back)["more"]) == (Slotted, ("slotted",), 1)


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


@pytest.mark.parametrize("first", [0, 1, remote_traceback.LINE_MAX - 1])
def test_code_that_says_it_is_at_any_line_travels(first: int) -> None:
    code = compile("raise ValueError('generated')", "<generated>", "exec").replace(co_firstlineno=first)
    try:
        exec(code, {})
    except ValueError as error:
        back = travel(error)
    assert (type(back), back.args) == (ValueError, ("generated",))
    frame = traceback.extract_tb(back.__traceback__)[-1]
    assert (frame.filename, frame.lineno) == (f"<{WHERE}>:<generated>", max(1, first))
    assert traceback.format_exception(back)


@pytest.mark.parametrize("line", [-(1 << 63), -1, 0, 1, remote_traceback.LINE_MAX, 1 << 31, (1 << 64) - 1])
def test_a_frame_at_any_line_is_read_and_costs_no_memory(line: int) -> None:
    """What comes is as another version wrote it, or as code that is no runner did."""
    file = f"<line-{line}>"
    back = payload.decode_exception(
        msgpack.encode((payload.dumps(ValueError("why")), "", [(file, line, "f", "x = 1\n")]))
    )
    assert (type(back), back.args) == (ValueError, ("why",))
    [frame] = traceback.extract_tb(back.__traceback__)
    assert (frame.filename, frame.lineno) == (file, min(max(line, 1), remote_traceback.LINE_MAX))
    kept = linecache.getlines(file)
    assert len(kept) <= remote_traceback.SOURCE_LINE_MAX
    assert frame.line == ("x = 1" if line <= 1 else "")


@pytest.mark.parametrize("member", [-1, 2, 1 << 40])
def test_a_group_that_names_a_member_which_did_not_come_is_told_by_its_text(member: int) -> None:
    links, group = (
        (-1, -1, False),
        payload.encode_exception(ExceptionGroup("two", [raised(OSError())]), where="", hide=()),
    )
    pickled, text, frames, _, _, others = msgpack.decode(group)
    back = payload.decode_exception(msgpack.encode((pickled, text, frames, links, [member], others)))
    assert type(back) is ExecutionError
    assert "cannot be rebuilt" in str(back)
    assert "two" in str(back)


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
