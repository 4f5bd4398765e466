"""One exception as bytes and back, whatever its class is like.

Plain pickle makes an exception anew by `cls(*args)`. That is another one where the constructor takes other arguments
than it hands on: its text grows at each hop, attributes in slots are lost, and so are the fields of an OSError. So an
exception of a user's class is made without its constructor here, and everything that it holds is set: its `args`, its
`__dict__`, its slots, and the fields of built-in classes. A class that says itself how it is pickled is believed, as
long as that gives the same exception.

Members of a group are named by number if they travel beside it. What an exception was raised from, and where, is not
part of it here. This module must not know messages, tracebacks or peers.
"""

from __future__ import annotations

import contextlib
import copyreg
import functools
import io
import pickle
from collections.abc import Callable, Sequence
from types import GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType
from typing import Any, Final, cast

from swell.errors import SerializationError
from swell.wire.script import ScriptUnpickler, by_value_pickler, marked, names_main

__all__ = [
    "PROTOCOL",
    "blank",
    "blank_group",
    "pickled_exception",
    "repr_of",
    "restore",
    "text_of",
    "unpickled_exception",
]

PROTOCOL: Final = 5

_CLASSES_MAX: Final = 256  #: classes of which it is remembered what they hold
_HEAP_TYPE: Final = 1 << 9  #: flag of classes that are not built into the interpreter
#: Fields that are not set: the object that lacked an attribute, which may be anything, and what a group is made with.
_LEFT_OUT: Final = {AttributeError: {"obj"}, BaseExceptionGroup: {"exceptions", "message"}}
_OURS: Final = frozenset({"__line_cache__"})  #: attributes that swell sets itself
_ARGS: Final[Any] = vars(BaseException)["args"]
_DICT: Final[Any] = vars(BaseException)["__dict__"]


def text_of(error: BaseException) -> str:
    """Return the message of an exception, whatever its `__str__` does."""
    return _asked(str, error)


def repr_of(error: BaseException) -> str:
    """Return the repr of an exception, whatever its `__repr__` does."""
    return _asked(repr, error)


def _asked(ask: Callable[[object], str], error: BaseException) -> str:
    try:
        return ask(error)
    except KeyboardInterrupt:
        raise
    except BaseException as failure:
        return f"<no text: {ask.__name__}() raised {type(failure).__name__}>"


# ---------------------------------------------------------------- to bytes


def pickled_exception(exc: BaseException, beside: Sequence[BaseException] = (), *, size_max: int) -> bytes:
    """Pickle an exception so that `unpickled_exception` gives the same again, which is tried.

    Args:
        exc: The exception.
        beside: Members of a group that travel beside it, and are not part of its bytes.
        size_max: The most bytes.

    Raises:
        SerializationError: that is not possible; says why.
    """
    problem = ""
    for as_declared in (True, False) if _says_how(exc) else (False,):
        for pickler in (_Plain, _by_value):
            file = _Limited(size_max)
            try:
                pickler(file, beside, as_declared=as_declared).dump(exc)
                data = file.getvalue()
                back = unpickled_exception(data, beside)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                problem = text_of(error)
                continue
            if type(back) is type(exc) and (not as_declared or _is_same(back, exc)):
                return marked(data) if names_main(data) else data
            problem = "it turns into something else on the way"
    raise SerializationError(problem)


def _says_how(exc: BaseException) -> bool:
    """Tell whether pickle's own way is to be tried: the class defines one, or is built in and needs no other."""
    cls = type(exc)
    if cls in copyreg.dispatch_table or cls.__reduce_ex__ is not object.__reduce_ex__:
        return True
    return not cls.__flags__ & _HEAP_TYPE or not isinstance(cls.__reduce__, MethodDescriptorType)


def _is_same(one: BaseException, other: BaseException) -> bool:
    return text_of(one) == text_of(other) and _form(one) == _form(other)


def _form(exc: BaseException) -> tuple[int, set[str], set[str]]:
    return len(_ARGS.__get__(exc)), set(_attributes(exc)), set(_fields(exc))


def _attributes(exc: BaseException) -> dict[str, Any]:
    return {name: value for name, value in _DICT.__get__(exc).items() if name not in _OURS}


def _fields(exc: BaseException) -> dict[str, Any]:
    """Return what an exception holds beside `args` and `__dict__`: slots, and fields of built-in classes."""
    fields: dict[str, Any] = {}
    for name, member in _members(type(exc)).items():
        try:
            value = member.__get__(exc)
        except AttributeError:  # a slot that was never set
            continue
        # A field of a built-in class that is not set reads as None; set to None, OSError would show it.
        if value is not None or member.__objclass__.__flags__ & _HEAP_TYPE:
            fields[name] = value
    return fields


@functools.lru_cache(_CLASSES_MAX)
def _members(cls: type[BaseException]) -> dict[str, Any]:
    """Return the descriptors of slots and of built-in fields by name, those of the class before those of its bases."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if base in (BaseException, object):
            continue
        for name, member in vars(base).items():
            is_field = isinstance(member, MemberDescriptorType | GetSetDescriptorType) and not name.startswith("__")
            if is_field and name not in _LEFT_OUT.get(base, ()):
                found.setdefault(name, member)
    return found


class _TooLargeError(Exception):
    pass


class _Limited(io.BytesIO):
    """A file that refuses more bytes than it may have."""

    def __init__(self, size_max: int) -> None:
        super().__init__()
        self._size_max = size_max

    def write(self, data: Any, /) -> int:
        if self.tell() + memoryview(data).nbytes > self._size_max:
            raise _TooLargeError("it is too large")
        return super().write(data)


class _Exceptions:
    """What picklers of both kinds do with exceptions."""

    beside: dict[int, int]
    as_declared: bool
    outermost: BaseException | None

    def persistent_id(self, obj: Any, /) -> int | None:
        return self.beside.get(id(obj))

    def reduced(self, exc: BaseException) -> Any:
        is_outermost, self.outermost = self.outermost is None, exc
        if _says_how(exc) and (self.as_declared or not is_outermost):
            return NotImplemented
        state = (_ARGS.__get__(exc), _attributes(exc), _fields(exc))
        made: tuple[Any, ...]
        if isinstance(exc, BaseExceptionGroup):
            message, members = (vars(BaseExceptionGroup)[name].__get__(exc) for name in ("message", "exceptions"))
            made = (blank_group, (type(cast("object", exc)), message, list(members)))
        else:
            made = (blank, (type(exc),))
        return (*made, state, None, None, restore)


class _Plain(_Exceptions, pickle.Pickler):
    def __init__(self, file: Any, beside: Sequence[BaseException], *, as_declared: bool) -> None:
        super().__init__(file, PROTOCOL)
        self.beside = {id(member): number for number, member in enumerate(beside)}
        self.as_declared, self.outermost = as_declared, None

    def reducer_override(self, obj: Any, /) -> Any:
        return self.reduced(obj) if issubclass(type(obj), BaseException) else NotImplemented


def _by_value(file: Any, beside: Sequence[BaseException], *, as_declared: bool) -> pickle.Pickler:
    """Return a pickler that also pickles classes which cannot be imported."""
    by_value = by_value_pickler()

    class ByValue(_Exceptions, by_value):
        def reducer_override(self, obj: Any) -> Any:
            return self.reduced(obj) if issubclass(type(obj), BaseException) else by_value.reducer_override(self, obj)

    pickler: Any = cast("Any", ByValue)(file, PROTOCOL)
    pickler.beside = {id(member): number for number, member in enumerate(beside)}
    pickler.as_declared, pickler.outermost = as_declared, None
    return pickler


# ---------------------------------------------------------------- from bytes


class _Unpickler(ScriptUnpickler):
    def __init__(self, data: bytes, beside: Sequence[BaseException]) -> None:
        super().__init__(data)
        self._beside: Sequence[BaseException] = beside

    def persistent_load(self, pid: int, /) -> BaseException:
        return self._beside[pid]


def unpickled_exception(data: bytes, beside: Sequence[BaseException] = ()) -> Any:
    """Return what `pickled_exception` has pickled, with these members in place of those that travelled beside it.

    Raises:
        Exception: any error of unpickling.
    """
    return _Unpickler(data, beside).load()


# Pickles, also stored ones, name the functions below: they keep their names.


def blank(cls: type[BaseException]) -> BaseException:
    """Return an exception without its constructor having run."""
    builtin: Any = next(base for base in cls.__mro__ if not base.__flags__ & _HEAP_TYPE)
    return builtin.__new__(cls)


def blank_group(
    cls: type[BaseExceptionGroup[Any]], message: str, exceptions: list[BaseException]
) -> BaseExceptionGroup[Any]:
    """Return a group without its constructors having run."""
    return BaseExceptionGroup.__new__(cls, message, exceptions)


def restore(exc: BaseException, state: tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]) -> None:
    """Set everything that an exception had."""
    arguments, attributes, fields = state
    _ARGS.__set__(exc, arguments)
    _DICT.__get__(exc).update(attributes)
    members = _members(type(exc))
    for name, value in fields.items():
        # The class here may be of another version, and a field may be one that cannot be set.
        with contextlib.suppress(KeyError, AttributeError, TypeError):
            members[name].__set__(exc, value)
