"""Parses FUNC_REF and APP_REF, and loads the user's module that one names.

This module must not know which objects of a module can be named, or what is done with them.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from types import CodeType, ModuleType
from typing import NamedTuple

from swell.errors import InvalidError

__all__ = ["Reference", "load", "near", "parse"]


class Reference(NamedTuple):
    """A parsed reference."""

    source: str  #: path of a script, or dotted name of a module
    name: str  #: of an object in it; "" to infer it
    is_module: bool
    command: str = "swell run"  #: that it was given to, for advice

    def naming(self, name: str) -> str:
        """Return the command, as a user would write it, for a name in the same source."""
        return f"{self.command} {'-m ' if self.is_module else ''}{self.source}::{name}"


def parse(text: str, *, is_module: bool, command: str = "swell run") -> Reference:
    """Parse a reference.

    Args:
        text: `path.py` or `path.py::name`; with `is_module`, `pkg.mod` or `pkg.mod::name`.
        is_module: The user gave `-m`.
        command: That it was given to.

    Raises:
        InvalidError: it has another form, or there is no such script; the message tells what to write instead.
    """
    source, colons, name = text.partition("::")
    if not colons and ":" in source:
        raise InvalidError(
            f"{text!r}: write two colons, {source.replace(':', '::', 1)}, to name what is meant in a file"
        )
    if not source or (colons and not name):
        raise InvalidError(f"{text!r} is not complete: write path.py, path.py::name, or -m package.module::name")
    if is_module:
        if source.endswith(".py") or os.sep in source:
            raise InvalidError(f"{source!r} is a path, and -m takes the dotted name of a module: leave out -m")
    else:
        _check_path(source, text, command)
    return Reference(source, name, is_module, command)


def _check_path(path: str, text: str, command: str) -> None:
    folder, file = os.path.split(path)
    if os.path.isfile(path):
        if not file.endswith(".py"):
            raise InvalidError(f"{path!r} is not a Python file: its name must end in .py")
        if "." in file.removesuffix(".py"):
            raise InvalidError(
                f"{path!r}: a script's name becomes that of a module, so it must have no dot but the one in .py; "
                f"rename it, for example to {file.removesuffix('.py').replace('.', '_')}.py"
            )
        return
    if os.path.isdir(path):
        raise InvalidError(f"{path!r} is a directory: name a file in it, or a module by `{command} -m package.module`")
    if not folder and not file.endswith(".py"):
        if os.path.isfile(f"{path}.py"):
            raise InvalidError(f"there is no file {path!r}: did you mean {path}.py?")
        if all(part.isidentifier() for part in path.split(".")):
            raise InvalidError(f"{path!r} is not a file; if it is a module, write: {command} -m {text}")
    scripts = [name.removesuffix(".py") for name in _listed(folder or ".") if name.endswith(".py")]
    raise InvalidError(f"there is no file {path!r}{near(file.removesuffix('.py'), scripts, folder, '.py')}")


def _listed(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


def near(name: str, known: Iterable[str], folder: str = "", suffix: str = "") -> str:
    """Return "; did you mean …?" if one of the known names is nearly this one, else ""."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), 1)
    return f"; did you mean {os.path.join(folder, close[0])}{suffix}?" if close else ""


# ---------------------------------------------------------------- the user's module


class _ScriptLoader(SourceFileLoader):
    """Compiles a script each time, as Python itself does: no cache is written beside it, and none can be stale."""

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load(reference: Reference) -> ModuleType:
    """Import the user's script, under the name of its file, or module.

    Its directory (of a link, that of the file it leads to) and the working directory are put on `sys.path`, as
    containers will do.

    Raises:
        InvalidError: there is no such module, its name is taken, or it must be run with `-m`.
        BaseException: whatever the user's code raises.
    """
    _put_first("" if reference.is_module else os.path.dirname(os.path.realpath(reference.source)))
    if not reference.is_module:
        return _load_script(os.path.abspath(reference.source), reference.command)
    try:
        return importlib.import_module(reference.source)
    except ModuleNotFoundError as error:
        if error.name and f"{reference.source}.".startswith(f"{error.name}."):
            raise InvalidError(
                f"there is no module {error.name!r}; it is looked for in {os.getcwd()} and among installed packages"
            ) from None
        raise


def _put_first(folder: str) -> None:
    try:
        here = os.getcwd()
    except FileNotFoundError:
        raise InvalidError("the present directory has been deleted: change to another one, by cd") from None
    for path in (here, folder or here):
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)


def _load_script(path: str, command: str) -> ModuleType:
    name = os.path.basename(path).removesuffix(".py")
    if name in sys.modules:
        raise InvalidError(
            f"{name}.py cannot be loaded under this name: the module {name!r} is in use already; rename it"
        )
    spec = spec_from_file_location(name, path, loader=_ScriptLoader(name, path))
    assert isinstance(spec, ModuleSpec) and spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        if "attempted relative import with no known parent package" not in str(error):
            raise
        raise InvalidError(
            f"{os.path.basename(path)} imports relative to its package, which a script does not have: "
            f"name it as a module, {command} -m package.module"
        ) from None
    return module
