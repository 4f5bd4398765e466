"""Loads the client's script as the `__main__` of a container, without running what its main guard protects.

What a script defines belongs to `__main__`: so pickle, multiprocessing and joblib find it, here and where the same
script runs. But a guard at the top level, `if __name__ == "__main__":`, must not come true. Functions and classes take
the name of their module from its globals, and a guard inside one of them comes true; the top level alone reads
`__name__` as one of its own names, and finds another one there.

This module must not know specs, the server, or what the script defines.
"""

from __future__ import annotations

import importlib
import importlib.util
import opcode
import os
import sys
from collections.abc import Iterator, MutableMapping
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any, Final

from swell.wire.script import Script

__all__ = ["MAIN", "load_script"]

MAIN: Final = "__swell_main__"  #: what the top level of a script reads as its name; the module has it beside `__main__`
_OF_POOLS: Final = "__mp_main__"  #: as which the workers of multiprocessing have it, and what they return names it
_NAME: Final = "__name__"
_READ: Final = "__swell_name__"  #: under which it finds that, while it runs
_LOAD_NAME: Final = opcode.opmap["LOAD_NAME"]
_EXTENDED_ARG: Final = opcode.opmap["EXTENDED_ARG"]
_USE_NAMES: Final = frozenset(opcode.hasname) - {_LOAD_NAME}


def load_script(file: str, package: str, identity: str) -> ModuleType:
    """Run a script as `__main__`, and return the module.

    Args:
        file: Its path.
        package: The package that it belongs to, if the client ran it by `python -m`; else "".
        identity: By which its classes are told from those of other scripts.

    Raises:
        BaseException: whatever it raises; `__main__` is then what it was.
    """
    if package:  # as `python -m` does; relative imports need it
        importlib.import_module(package)
    module, code = _read(file, package)
    names = ["__main__", MAIN]
    if _OF_POOLS in sys.modules:  # else multiprocessing sets it when it is imported
        names.append(_OF_POOLS)
    before, inherited = {name: sys.modules.get(name) for name in names}, (Script.module, Script.identity)
    sys.modules.update(dict.fromkeys(names, module))
    Script.module, Script.identity = module, identity
    try:
        _run(code, vars(module))
    except BaseException:
        del sys.modules[MAIN]
        sys.modules.update({name: former for name, former in before.items() if former is not None})
        Script.module, Script.identity = inherited
        raise
    return module


def _read(file: str, package: str) -> tuple[ModuleType, CodeType]:
    spec = importlib.util.spec_from_file_location("__main__", file)
    if spec is None:  # a script need not be called .py
        spec = importlib.util.spec_from_file_location("__main__", file, loader=SourceFileLoader("__main__", file))
    assert spec is not None
    loader: Any = spec.loader
    module = importlib.util.module_from_spec(spec)
    # As in a program: by its spec multiprocessing imports the main module of `python -m`, and a script by its file.
    module.__spec__ = _importable(package, file)
    module.__package__ = package or None
    return module, loader.get_code("__main__")


def _importable(package: str, file: str) -> ModuleSpec | None:
    if not package:
        return None
    spec = importlib.util.find_spec(f"{package}.{os.path.basename(file).partition('.')[0]}")
    return spec if spec is not None and spec.origin == file else None


def _run(code: CodeType, names: dict[str, Any]) -> None:
    renamed = _reading_another_name(code)
    if renamed is None:
        exec(code, names, _TopLevel(names))
        return
    names[_READ] = MAIN
    try:
        exec(renamed, names)
    finally:
        names.pop(_READ, None)


def _reading_another_name(code: CodeType) -> CodeType | None:
    """Return code that reads `__swell_name__` where it read `__name__`; None if it may use that in another way, too."""
    if _NAME not in code.co_names:
        return code
    index = code.co_names.index(_NAME)
    for operation, argument in _instructions(code.co_code):
        # Some have flags in the lowest bits: which, depends on Python's version.
        if operation in _USE_NAMES and index in (argument, argument >> 1, argument >> 2):
            return None
    return code.replace(co_names=(*code.co_names[:index], _READ, *code.co_names[index + 1 :]))


def _instructions(code: bytes) -> Iterator[tuple[int, int]]:
    extended = 0
    for operation, argument in zip(code[::2], code[1::2], strict=True):
        whole = extended | argument
        extended = whole << 8 if operation == _EXTENDED_ARG else 0
        yield operation, whole


class _TopLevel(MutableMapping[str, Any]):
    """The names of a module as its top level sees them, if that does more with `__name__` than read it. Slower."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._own: dict[str, Any] = {_NAME: MAIN}

    def __getitem__(self, name: str) -> Any:
        return self._own[name] if name in self._own else self._names[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self._own:
            self._own[name] = value
        self._names[name] = value

    def __delitem__(self, name: str) -> None:
        self._own.pop(name, None)
        del self._names[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
