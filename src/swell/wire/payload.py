"""User values and exceptions to bytes and back.

Values go through plain pickle, and through cloudpickle only where that fails. An exception travels as its pickle, its
traceback as text, and its frames, so that the caller sees one stack ending in the code that raised. This module must
not know messages, files or peers.
"""

from __future__ import annotations

import contextlib
import linecache
import pickle
import sys
import traceback
from collections.abc import Callable, Sequence
from types import CodeType, TracebackType
from typing import Any, Final, cast

import msgspec

from swell.errors import DeserializationError, ExecutionError, SerializationError
from swell.wire.context import is_local
from swell.wire.former_names import has_former_names, loads_former
from swell.wire.json_payload import decode_json, is_json

__all__ = [
    "EXCEPTION_BYTES_MAX",
    "EXCEPTION_TEXT_MAX",
    "decode_arguments",
    "decode_exception",
    "described",
    "dumps",
    "dumps_apart",
    "encode_arguments",
    "encode_exception",
    "exception_text",
    "loads",
]

PROTOCOL: Final = 5
EXCEPTION_TEXT_MAX: Final = 2 << 20  #: characters of a traceback that travel
EXCEPTION_BYTES_MAX: Final = 8 << 20  #: a pickled exception above this travels as its text only
FRAMES_MAX: Final = 256  #: frames of a traceback that travel: half from either end
SOURCES_MAX: Final = 512  #: remote files of which source lines are kept for printing

#: Types whose values can all be pickled, without buffers.
FLAT: Final = frozenset({type(None), bool, int, float, str})

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_pickle_dumps = pickle.dumps
_pickle_loads = pickle.loads


# ---------------------------------------------------------------- values


def dumps(value: object) -> bytes:
    """Pickle a value.

    Raises:
        SerializationError: neither pickle nor cloudpickle can do it; names the type and why.
    """
    if type(value) in FLAT:
        return _pickle_dumps(value, PROTOCOL)
    try:
        data = _pickle_dumps(value, PROTOCOL)
    except Exception:
        return _dumps_by_value(value)
    if _main_is_unimportable() and b"__main__" in data:
        return _dumps_by_value(value)
    return data


def dumps_apart(value: object) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """Pickle a value, but leave the buffers that it offers (arrays, mostly) out of the pickle.

    Raises:
        SerializationError: as `dumps`.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = _pickle_dumps(value, PROTOCOL, buffer_callback=buffers.append)
    except Exception:
        data = None
    if data is None or (_main_is_unimportable() and b"__main__" in data):
        buffers = []  # drop those of the first attempt
        data = _dumps_by_value(value, buffers.append)
    return data, buffers


def _main_is_unimportable() -> bool:
    # Code typed at a prompt or in a notebook is in no file, so other processes cannot import it by its name.
    return not hasattr(sys.modules["__main__"], "__file__")


def _dumps_by_value(value: object, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

    by_value = cast("Callable[..., bytes]", cloudpickle.dumps)
    try:
        return by_value(value, protocol=PROTOCOL, buffer_callback=buffer_callback)
    except Exception as error:
        raise SerializationError(
            f"cannot pickle a value of type {_name_of(type(value))}: {_text_of(error)}; "
            "pass data that can be copied, and open files, locks and connections where they are used"
        ) from error


def loads(data: bytes | memoryview, buffers: Sequence[memoryview] = ()) -> Any:
    """Unpickle a value, or read it as JSON if it has that mark; `buffers` are those that `dumps_apart` left out.

    Raises:
        DeserializationError: the data cannot be read here; says why.
    """
    try:
        return _pickle_loads(data, buffers=buffers) if buffers else _pickle_loads(data)
    except Exception as error:
        if is_json(data):  # only looked for where unpickling fails, so that it costs pickles nothing
            return decode_json(data)
        return _loads_former(data, buffers, error)


def _loads_former(data: bytes | memoryview, buffers: Sequence[memoryview], error: Exception) -> Any:
    """Read a pickle of an older version, if its former names caused `error`; else raise DeserializationError."""
    if not has_former_names(data, error):
        raise _unreadable(error) from error
    try:
        return loads_former(data, buffers)
    except Exception as failure:
        raise _unreadable(failure) from failure


def _unreadable(error: Exception) -> DeserializationError:
    hint = ""
    if isinstance(error, ImportError):
        hint = "; the module must be installed and importable on this side, too"
        if not is_local() and error.name:
            hint += (
                ", or be among the app's source files: imported by name in its code, or added by "
                f"Image.add_local_python_source({error.name.partition('.')[0]!r})"
            )
    elif isinstance(error, AttributeError):
        hint = "; the name must exist at the top level of the module on this side, too"
    return DeserializationError(f"cannot unpickle: {type(error).__name__}: {_text_of(error)}{hint}")


def encode_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Pickle the arguments of one call.

    Raises:
        SerializationError: an argument cannot be pickled.
    """
    return dumps((args, kwargs))


def decode_arguments(data: bytes | memoryview, buffers: Sequence[memoryview] = ()) -> Arguments:
    """Read what `encode_arguments` wrote.

    Raises:
        DeserializationError: the data cannot be read here, or does not hold arguments.
        TypeError: the caller did not give a sequence of arguments.
    """
    try:
        value = _pickle_loads(data, buffers=buffers) if buffers else _pickle_loads(data)
    except Exception as error:
        value = _loads_former(data, buffers, error)
    if value.__class__ is tuple and len(value) == 2 and value[0].__class__ is tuple and value[1].__class__ is dict:
        return value
    if value.__class__ is tuple and len(value) == 2 and value[1].__class__ is dict:
        raise TypeError(f"expected a sequence of arguments for each call, but got {_name_of(value[0].__class__)}")
    raise DeserializationError("expected the arguments of a call as (args, kwargs), but got something else")


def _name_of(cls: type[Any]) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _text_of(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as failure:
        return f"<no text: str() raised {type(failure).__name__}>"
    return text if len(text) <= EXCEPTION_TEXT_MAX else _trimmed(text)


def _trimmed(text: str) -> str:
    half = EXCEPTION_TEXT_MAX // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


# ---------------------------------------------------------------- exceptions


class _Frame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One line of a stack."""

    file: str
    line: int
    function: str
    source: str


class _RemoteException(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An exception on the wire."""

    pickled: bytes
    text: str  #: the whole traceback as printed where it happened
    frames: list[_Frame]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_RemoteException)


def encode_exception(exc: BaseException, *, where: str, hide: Sequence[str]) -> bytes:
    """Return an exception as bytes. Never raises an Exception, whatever the exception is like.

    Args:
        exc: The exception.
        where: Id of the container, which the file names of the frames will carry.
        hide: Prefixes of file names; leading frames whose file has one of them are left out.
    """
    tb = _without_leading(exc.__traceback__, hide)
    text = format_exception(exc, hide=hide)
    frames = [_Frame(f"<{where}>:{file}", line, name, source) for file, line, name, source in _frames_of(tb)]
    return _encoder.encode(_RemoteException(_pickled_exception(exc, text), text, frames))


def format_exception(exc: BaseException, *, hide: Sequence[str]) -> str:
    """Return the traceback of an exception as text, at most about EXCEPTION_TEXT_MAX characters."""
    try:
        lines = traceback.format_exception(type(exc), exc, _without_leading(exc.__traceback__, hide))
    except Exception as failure:  # attributes of the exception may be anything
        lines = [f"{_name_of(type(exc))}: <no traceback: formatting it raised {type(failure).__name__}>\n"]
    text = "".join(lines)
    text = text.encode("utf-8", "backslashreplace").decode()  # lone surrogates cannot travel
    return text if len(text) <= EXCEPTION_TEXT_MAX else _trimmed(text)


def described(exc: BaseException) -> tuple[str, str]:
    """Return the name of an exception's class, with its module, and its message."""
    return _name_of(type(exc)), _text_of(exc)


def _without_leading(tb: TracebackType | None, hide: Sequence[str]) -> TracebackType | None:
    prefixes = tuple(hide)
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(prefixes):
        tb = tb.tb_next
    return tb


def _frames_of(tb: TracebackType | None) -> list[tuple[str, int, str, str]]:
    steps: list[TracebackType] = []
    while tb is not None:
        steps.append(tb)
        tb = tb.tb_next
    if len(steps) > FRAMES_MAX:
        steps = steps[: FRAMES_MAX // 2] + steps[-FRAMES_MAX // 2 :]
    found: list[tuple[str, int, str, str]] = []
    for step in steps:
        code = step.tb_frame.f_code
        line = step.tb_lineno or code.co_firstlineno
        source = linecache.getline(code.co_filename, line, step.tb_frame.f_globals)
        found.append((code.co_filename, line, code.co_name, source))
    return found


def _pickled_exception(exc: BaseException, text: str) -> bytes:
    """Pickle an exception so that it can be unpickled again: many can be pickled, but not unpickled."""
    problem: Exception | None = None
    for candidate in (exc, _Rebuilt(exc)):
        try:
            data = dumps(candidate)
            if type(loads(data)) is type(exc) and len(data) <= EXCEPTION_BYTES_MAX:
                return data
        except Exception as error:
            problem = error
    reason = "it is too large, or turns into something else on the way" if problem is None else _text_of(problem)
    return dumps(
        SerializationError(
            f"the function raised {_name_of(type(exc))}, which cannot be sent to its caller ({reason}). "
            f"Where it was raised:\n{text}"
        )
    )


class _Rebuilt:
    """Pickles as an exception that is rebuilt without its constructor, which may want other arguments than `args`."""

    def __init__(self, exc: BaseException) -> None:
        self._exc = exc

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self._exc), self._exc.args, self._exc.__dict__)


def _rebuild(cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    exc = cls.__new__(cls, *args)
    exc.args = args
    exc.__dict__.update(attributes)
    return exc


def decode_exception(data: bytes) -> BaseException:
    """Return the exception that `encode_exception` wrote, its remote frames in place of a traceback.

    The lines of source that came with it are in its `__line_cache__`, {(file, line): source}, and are printed with
    tracebacks. Never raises: an exception that cannot be rebuilt here becomes an ExecutionError with its text.
    """
    try:
        remote = _decoder.decode(data)
    except msgspec.DecodeError as error:
        return ExecutionError(f"the remote side reported an exception that cannot be read: {error}")
    exc: Any
    try:
        exc = loads(remote.pickled)
    except DeserializationError as error:
        exc = ExecutionError(f"the remote exception cannot be rebuilt: {error}. Where it was raised:\n{remote.text}")
    if not isinstance(exc, BaseException):
        exc = ExecutionError(f"the remote side raised something that is not an exception:\n{remote.text}")
    lines = {(frame.file, frame.line): frame.source for frame in remote.frames}
    _remember_source(lines)
    with contextlib.suppress(Exception):  # a class may refuse attributes
        exc.__line_cache__ = lines  # pyright: ignore[reportAttributeAccessIssue]
    return exc.with_traceback(_traceback_of(remote.frames))


def exception_text(data: bytes) -> str:
    """Return the traceback in an exception that `encode_exception` wrote, without unpickling anything.

    Raises:
        DeserializationError: it is something else.
    """
    try:
        return _decoder.decode(data).text
    except msgspec.DecodeError as error:
        raise DeserializationError(f"this is no exception: {error}") from None


def _traceback_of(frames: Sequence[_Frame]) -> TracebackType | None:
    """Build a traceback whose entries carry the names and lines of remote frames."""
    tb: TracebackType | None = None
    for frame in reversed(frames):
        name = frame.function
        code = _raising.replace(co_filename=frame.file, co_name=name, co_qualname=name, co_firstlineno=frame.line)
        try:
            exec(code, {"__name__": name, "__file__": frame.file})
        except ZeroDivisionError as error:
            here = cast(TracebackType, cast(TracebackType, error.__traceback__).tb_next)
            tb = TracebackType(tb, here.tb_frame, here.tb_lasti, frame.line)
    return tb


def _without_columns(code: CodeType) -> CodeType:
    # One location entry of kind 13, "still on that line, and no columns", for each eight code units: all is on the
    # first line, which notebooks ask the frame for, and there is nothing to underline.
    units = len(code.co_code) // 2
    table = b"".join(bytes((0x80 | 13 << 3 | min(8, units - at) - 1, 0)) for at in range(0, units, 8))
    return code.replace(co_linetable=table)


_raising: Final = _without_columns(compile("1 / 0", "<remote>", "exec"))


def _remember_source(lines: dict[tuple[str, int], str]) -> None:
    """Let the standard traceback printers find the source of remote frames."""
    for (file, number), source in lines.items():
        entry = linecache.cache.get(file)
        known = list(entry[2]) if entry is not None and len(entry) == 4 else []
        known.extend("\n" for _ in range(number - len(known)))
        known[number - 1] = source
        linecache.cache[file] = (len(known), None, known, file)
        _remembered[file] = None
    while len(_remembered) > SOURCES_MAX:
        oldest = next(iter(_remembered))
        del _remembered[oldest]
        linecache.cache.pop(oldest, None)


_remembered: Final[dict[str, None]] = {}
