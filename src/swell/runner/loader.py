"""Finds the user's code: sets up the surroundings it was written in, imports or unpickles it, and resolves its name.

This module must not know the server, inputs, or what the code is used for.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
import sys
import time
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any, Final

from swell.errors import InvalidError
from swell.model import Environment, FunctionSpec, Source
from swell.runner.entry import raw
from swell.wire import payload

__all__ = ["MAIN", "enter_environment", "find", "reseed"]

MAIN: Final = "__swell_main__"  #: name under which a client's script is loaded, so that its main guard does not run


def enter_environment(environment: Environment, spec: FunctionSpec, variables: Mapping[str, str]) -> None:
    """Take on a client's environment variables, working directory and import path, and what a Function adds to them.

    Numerical libraries start a thread for every core of the host in each process, and those of several containers get
    in each other's way: unless the user says otherwise, they may start as many as the container asks for cores.

    Args:
        environment: The client's.
        spec: Its variables win over the client's, and so does its working directory, which may be relative to it.
        variables: More environment variables, which win over both.

    Raises:
        InvalidError: the working directory cannot be entered.
    """
    os.environ.update(environment.variables)
    os.environ.update(spec.variables)
    os.environ.update(variables)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, round(spec.resources.cpu))))
    time.tzset()
    directory = os.path.join(environment.cwd, spec.workdir)
    try:
        os.chdir(directory)
    except OSError as error:
        hint = "; Image.workdir names a directory of this machine, which must exist" if spec.workdir else ""
        raise InvalidError(f"cannot enter the working directory {directory}: {error.strerror}{hint}") from error
    ours = [path for path in sys.path if path not in environment.sys_path]
    sys.path[:] = [*environment.sys_path, *ours]
    importlib.invalidate_caches()


def reseed() -> None:
    """Give this process random numbers of its own: a fork shares its parent's generators."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def find(source: Source) -> Any:
    """Return the user's function or class.

    Raises:
        InvalidError: the module has no such name.
        BaseException: whatever importing the module raises.
    """
    if source.pickled:
        return raw(payload.loads(source.pickled))
    module = _module(source)
    found: Any = module
    for name in source.qualname.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise InvalidError(
                f"module {source.module} has no {source.qualname!r} in a container: functions must be defined in "
                "global scope, unconditionally, or be declared with serialized=True"
            ) from None
    return raw(found)


def _module(source: Source) -> ModuleType:
    if source.module == "__main__":
        if source.file is None:
            raise InvalidError(f"{source.qualname} was defined in no file: declare it with serialized=True")
        return _load_main(source.file)
    if source.file is None or source.module in sys.modules or _is_importable(source.module, source.file):
        return importlib.import_module(source.module)
    return _load_file(source.module, source.file)


def _is_importable(module: str, file: str) -> bool:
    """Return whether a plain import of `module` gives what is in `file`."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a parent is missing, or is no package
        return False
    return spec is not None and spec.origin is not None and os.path.realpath(spec.origin) == os.path.realpath(file)


def _load_main(file: str) -> ModuleType:
    present = sys.modules.get(MAIN)
    if present is not None:
        return present
    before = sys.modules["__main__"]
    try:
        module = _load_file(MAIN, file, "__main__")
    except BaseException:
        sys.modules["__main__"] = before
        raise
    module.__spec__ = None  # as in a script: else multiprocessing would try to import it by name
    return module


def _load_file(name: str, file: str, alias: str | None = None) -> ModuleType:
    """Run a file as module `name`; while it runs, and after, `alias` names it, too."""
    spec: ModuleSpec | None = importlib.util.spec_from_file_location(name, file)
    if spec is None:  # a script need not be called .py
        spec = importlib.util.spec_from_file_location(name, file, loader=SourceFileLoader(name, file))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if alias is not None:
        sys.modules[alias] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
