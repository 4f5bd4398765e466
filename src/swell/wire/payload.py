"""User values and exceptions to bytes and back.

Values go through plain pickle, and through cloudpickle only where that fails. An exception travels as its pickle, its
traceback as text, and its frames, so that the caller sees one stack ending in the code that raised; and with it travel
those that it was raised from, and the members of a group, each by itself: one that cannot be sent or read spoils no
other. This module must not know messages, files or peers.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from swell.errors import DeserializationError, ExecutionError, SerializationError
from swell.wire.context import is_local
from swell.wire.exception_pickle import PROTOCOL, pickled_exception, text_of, unpickled_exception
from swell.wire.former_names import has_former_names, loads_former
from swell.wire.json_payload import decode_json, is_json
from swell.wire.remote_traceback import (
    FRAMES_MAX,
    SOURCES_MAX,
    Frame,
    frames_of,
    on_a_line,
    plain,
    remember_source,
    traceback_of,
    without_leading,
)
from swell.wire.script import ScriptUnpickler, by_value_pickler, is_marked, marked, names_main, unmarked

__all__ = [
    "EXCEPTION_BYTES_MAX",
    "EXCEPTION_TEXT_MAX",
    "FLAT",
    "FRAMES_MAX",
    "PROTOCOL",
    "SOURCES_MAX",
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

EXCEPTION_TEXT_MAX: Final = 2 << 20  #: characters of a traceback that travel
EXCEPTION_BYTES_MAX: Final = 8 << 20  #: a pickled exception above this travels as its text only
EXCEPTIONS_MAX: Final = 64  #: an exception and those that hang on it, as far as they travel
OTHER_TEXT_MAX: Final = 2_000  #: characters that are kept of the message of one that hangs on another
FRAMES_OF_OTHERS_MAX: Final = 64

#: Types whose values can all be pickled, without buffers.
FLAT: Final = frozenset({type(None), bool, int, float, str})
BYTES: Final = frozenset({bytes, bytearray})  #: these refer to nothing, and are too large to be searched for names

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
        data = None
    if data is not None and (type(value) in BYTES or not names_main(data)):
        return data
    if data is None or _main_is_unimportable():
        data = _dumps_by_value(value)
    return marked(data) if names_main(data) else data


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
    if data is not None and (type(value) in BYTES or not names_main(data)):
        return data, buffers
    if data is None or _main_is_unimportable():
        buffers = []  # drop those of the first attempt
        data = _dumps_by_value(value, buffers.append)
    return marked(data) if names_main(data) else data, buffers


def _main_is_unimportable() -> bool:
    # Code typed at a prompt or in a notebook is in no file, so other processes cannot import it by its name.
    return not hasattr(sys.modules["__main__"], "__file__")


def _dumps_by_value(value: object, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    pickler = by_value_pickler()
    file = io.BytesIO()
    try:
        pickler(file, protocol=PROTOCOL, buffer_callback=buffer_callback).dump(value)
        return file.getvalue()
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
        return _loads_otherwise(data, buffers, error)


def _loads_otherwise(data: bytes | memoryview, buffers: Sequence[memoryview], error: Exception) -> Any:
    """Read a pickle that names what is in a script, or one of an older version, if its former names caused `error`.

    Raises:
        DeserializationError: it is neither, or cannot be read here.
    """
    if is_marked(data):
        return _loads_marked(data, buffers)
    if not has_former_names(data, error):
        raise _unreadable(error) from error
    try:
        return loads_former(data, buffers)
    except Exception as failure:
        raise _unreadable(failure) from failure


def _loads_marked(data: bytes | memoryview, buffers: Sequence[memoryview]) -> Any:
    another, plain_pickle = unmarked(data)
    try:
        if another is None:
            return _pickle_loads(plain_pickle, buffers=buffers)
        return ScriptUnpickler(data, buffers).load()
    except Exception as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> DeserializationError:
    if isinstance(error, DeserializationError):
        return DeserializationError(f"cannot unpickle: {error}")
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
        value = _loads_otherwise(data, buffers, error)
    if value.__class__ is tuple and len(value) == 2 and value[0].__class__ is tuple and value[1].__class__ is dict:
        return value
    if value.__class__ is tuple and len(value) == 2 and value[1].__class__ is dict:
        raise TypeError(f"expected a sequence of arguments for each call, but got {_name_of(value[0].__class__)}")
    raise DeserializationError("expected the arguments of a call as (args, kwargs), but got something else")


def _name_of(cls: type[Any]) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _text_of(error: BaseException) -> str:
    text = text_of(error)
    return text if len(text) <= EXCEPTION_TEXT_MAX else _trimmed(text)


def _trimmed(text: str) -> str:
    half = EXCEPTION_TEXT_MAX // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


# ---------------------------------------------------------------- exceptions


class _Other(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An exception from which another was raised, or a member of a group."""

    pickled: bytes
    text: str  #: what it says
    frames: list[Frame]
    links: tuple[int, int, bool]
    members: list[int]


class _Alone(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An exception on the wire on which no other hangs."""

    pickled: bytes
    text: str  #: the whole traceback as printed where it happened
    frames: list[Frame]


class _RemoteException(_Alone, array_like=True, frozen=True, gc=False):
    """An exception on the wire, and those that hang on it.

    `links` are the numbers of its cause and of its context, and whether the context is suppressed; `members`, of a
    group, are numbers of exceptions, too: 0 is this one, 1 the first of the others, and -1 none.
    """

    links: tuple[int, int, bool] = (-1, -1, False)
    members: list[int] = []
    others: list[_Other] = []


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_RemoteException)


def encode_exception(exc: BaseException, *, where: str, hide: Sequence[str]) -> bytes:
    """Return an exception as bytes. Never raises, but for KeyboardInterrupt, whatever the exception is like.

    Args:
        exc: The exception.
        where: Id of the container, which the file names of the frames will carry.
        hide: Prefixes of file names; leading frames whose file has one of them are left out.
    """
    text = format_exception(exc, hide=hide)
    graph = _Graph(exc)
    pickled = _pickled(exc, graph.beside(exc), text, EXCEPTION_BYTES_MAX)
    left = EXCEPTION_BYTES_MAX - len(pickled)
    others: list[_Other] = []
    for other in graph.found[1:]:
        told = plain(text_of(other)[:OTHER_TEXT_MAX])
        data = _pickled(other, graph.beside(other), told, left)
        left = max(0, left - len(data))
        frames = frames_of(without_leading(other.__traceback__, hide), where, FRAMES_OF_OTHERS_MAX)
        others.append(_Other(data, told, frames, graph.links(other), graph.members(other)))
    frames = frames_of(without_leading(exc.__traceback__, hide), where)
    if not others:
        return _encoder.encode(_Alone(pickled, text, frames))
    links, members = graph.links(exc), graph.members(exc)
    return _encoder.encode(_RemoteException(pickled, text, frames, links=links, members=members, others=others))


class _Graph:
    """An exception and those that hang on it, each once, in the order of their numbers."""

    def __init__(self, exc: BaseException) -> None:
        self.found = [exc]
        self._numbers = {id(exc): 0}
        self._beside: dict[int, Sequence[BaseException]] = {}
        if not isinstance(exc, BaseExceptionGroup) and all(other is None for other in _raised_from(exc)):
            return  # most are alone
        for one in self.found:  # which grows meanwhile
            members = _members_of(one)
            if len(self.found) + len(members) <= EXCEPTIONS_MAX:  # else they travel inside of it
                self._beside[id(one)] = members
                self._add(members)
            self._add([other for other in _raised_from(one) if other is not None])

    def _add(self, others: Sequence[BaseException]) -> None:
        for other in others:
            if id(other) not in self._numbers and len(self.found) < EXCEPTIONS_MAX:
                self._numbers[id(other)] = len(self.found)
                self.found.append(other)

    def beside(self, exc: BaseException) -> Sequence[BaseException]:
        """Return the members of a group that travel beside it."""
        return self._beside.get(id(exc), ())

    def links(self, exc: BaseException) -> tuple[int, int, bool]:
        """Return the numbers of its cause and context, and whether that is suppressed."""
        cause, context = (self._numbers.get(id(other), -1) for other in _raised_from(exc))
        return cause, context, _SUPPRESSED.__get__(exc)

    def members(self, exc: BaseException) -> list[int]:
        """Return the numbers of the members beside it."""
        return [self._numbers[id(member)] for member in self.beside(exc)]


# What a class of the user's cannot have replaced.
_CAUSE: Final[Any] = vars(BaseException)["__cause__"]
_CONTEXT: Final[Any] = vars(BaseException)["__context__"]
_SUPPRESSED: Final[Any] = vars(BaseException)["__suppress_context__"]
_MEMBERS: Final[Any] = vars(BaseExceptionGroup)["exceptions"]


def _raised_from(exc: BaseException) -> tuple[BaseException | None, BaseException | None]:
    return _CAUSE.__get__(exc), _CONTEXT.__get__(exc)


def _members_of(exc: BaseException) -> Sequence[BaseException]:
    return _MEMBERS.__get__(exc) if isinstance(exc, BaseExceptionGroup) else ()


def _pickled(exc: BaseException, beside: Sequence[BaseException], text: str, size_max: int) -> bytes:
    try:
        return pickled_exception(exc, beside, size_max=size_max)
    except SerializationError as problem:
        return dumps(
            SerializationError(
                f"the function raised {_name_of(type(exc))}, which cannot be sent to its caller ({problem}). "
                f"Where it was raised:\n{text}"
            )
        )


def format_exception(exc: BaseException, *, hide: Sequence[str]) -> str:
    """Return the traceback of an exception as text, at most about EXCEPTION_TEXT_MAX characters."""
    try:
        lines = traceback.format_exception(type(exc), exc, without_leading(exc.__traceback__, hide))
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # attributes of the exception may be anything
        lines = [f"{_name_of(type(exc))}: <no traceback: formatting it raised {type(failure).__name__}>\n"]
    text = plain("".join(lines))
    return text if len(text) <= EXCEPTION_TEXT_MAX else _trimmed(text)


def described(exc: BaseException) -> tuple[str, str]:
    """Return the name of an exception's class, with its module, and its message."""
    return plain(_name_of(type(exc))), plain(_text_of(exc))


def decode_exception(data: bytes) -> BaseException:
    """Return the exception that `encode_exception` wrote, with its causes, remote frames in place of tracebacks.

    The lines of source that came with it are in its `__line_cache__`, {(file, line): source}, and are printed with
    tracebacks. Never raises: an exception that cannot be rebuilt here becomes an ExecutionError with its text.
    """
    try:
        remote = _decoder.decode(data)
    except msgspec.DecodeError as error:
        return ExecutionError(f"the remote side reported an exception that cannot be read: {error}")
    parts = [remote, *remote.others]
    rebuilt: dict[int, BaseException] = {}
    for number in range(len(parts)):
        _rebuild_part(parts, number, rebuilt)
    for number, part in enumerate(parts):
        _link(rebuilt[number], part, rebuilt)
    return rebuilt[0]


def _rebuild_part(parts: Sequence[_RemoteException | _Other], number: int, rebuilt: dict[int, BaseException]) -> None:
    if number in rebuilt:
        return
    part = parts[number]
    members = [member for member in part.members if 0 <= member < len(parts)]
    rebuilt[number] = ExecutionError("a member of a group that holds itself")
    for member in members:
        _rebuild_part(parts, member, rebuilt)
    try:
        exc = _loads_exception(part.pickled, [rebuilt[member] for member in members])
    except DeserializationError as error:
        exc = ExecutionError(f"the remote exception cannot be rebuilt: {error}. Where it was raised:\n{part.text}")
    if not isinstance(exc, BaseException):
        exc = ExecutionError(f"the remote side raised something that is not an exception:\n{part.text}")
    rebuilt[number] = exc


def _loads_exception(data: bytes, beside: Sequence[BaseException]) -> Any:
    if not beside:
        return loads(data)
    try:
        return unpickled_exception(data, beside)
    except Exception as error:
        raise _unreadable(error) from error


def _link(exc: BaseException, part: _RemoteException | _Other, rebuilt: dict[int, BaseException]) -> None:
    cause, context, is_suppressed = part.links
    if cause in rebuilt:
        _CAUSE.__set__(exc, rebuilt[cause])
    if context in rebuilt:
        _CONTEXT.__set__(exc, rebuilt[context])
    _SUPPRESSED.__set__(exc, is_suppressed)
    frames = [on_a_line(frame) for frame in part.frames]
    lines = {(frame.file, frame.line): frame.source for frame in frames}
    remember_source(lines)
    with contextlib.suppress(Exception):  # a class may refuse attributes
        exc.__line_cache__ = lines  # pyright: ignore[reportAttributeAccessIssue]
    BaseException.with_traceback(exc, traceback_of(frames))


def exception_text(data: bytes) -> str:
    """Return the traceback in an exception that `encode_exception` wrote, without unpickling anything.

    Raises:
        DeserializationError: it is something else.
    """
    try:
        return _decoder.decode(data).text
    except msgspec.DecodeError as error:
        raise DeserializationError(f"this is no exception: {error}") from None


def _rebuild(  # pyright: ignore[reportUnusedFunction]
    cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]
) -> BaseException:
    """Return an exception that an older version of swell has pickled, and a store may have kept."""
    exc = cls.__new__(cls, *args)
    exc.args = args
    exc.__dict__.update(attributes)
    return exc
