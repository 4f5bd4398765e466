"""Loads the user's code: enters the client's environment, imports or unpickles the code, and resolves its name.

This module must not know the server, inputs, or how the code is called.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import random
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

from swell.errors import DeserializationError, InvalidError
from swell.model import Environment, FunctionSpec, Source
from swell.runner.entry import raw
from swell.runner.script import MAIN, load_script
from swell.wire import payload

__all__ = ["enter_command_line", "enter_environment", "find", "reseed"]


def enter_environment(environment: Environment, spec: FunctionSpec, variables: Mapping[str, str]) -> None:
    """Enter a client's environment: variables, working directory and import path, and those that the Function adds.

    The bundle comes first on the import path and, where the client had a PYTHONPATH, in the PYTHONPATH of the programs
    that the code starts. A portable environment leaves to this process what belongs to the machine, and begins in the
    bundle.

    Numerical libraries start a thread per core of the host in each process, and the threads of several containers
    compete for the cores. So OMP_NUM_THREADS is set to the cores that the container requests, unless the user sets it.

    Args:
        environment: The client's environment.
        spec: Its variables and working directory override the client's; the directory may be relative to the client's,
            or to the bundle.
        variables: More environment variables, which override both.

    Raises:
        InvalidError: the working directory cannot be entered.
    """
    pythonpath = os.environ.get("PYTHONPATH", "")
    os.environ.update(environment.variables)
    os.environb.update(environment.raw_variables)
    bundled = [environment.bundle_dir] if environment.bundle_dir else []
    if bundled and "PYTHONPATH" in environment.variables:
        others = environment.variables["PYTHONPATH"] or pythonpath
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (*bundled, others)))
    os.environ.update(spec.variables)
    os.environ.update(variables)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, round(spec.resources.cpu))))
    time.tzset()
    directory = os.path.join(environment.cwd or environment.bundle_dir, spec.workdir)
    try:
        os.chdir(directory)
    except OSError as error:
        hint = "; Image.workdir names a directory of the container's machine, which must exist" if spec.workdir else ""
        raise InvalidError(f"cannot enter the working directory {directory}: {error.strerror}{hint}") from error
    if bundled:
        sys.meta_path.insert(sys.meta_path.index(PathFinder), _BundleFirst(bundled))
    ours = [path for path in sys.path if path not in environment.sys_path]
    sys.path[:] = [*bundled, *environment.sys_path, *ours]
    importlib.invalidate_caches()


def enter_command_line(environment: Environment, spec: FunctionSpec) -> None:
    """Have the client's command line in `sys.argv`; the program's name is its path in the bundle, if it is there."""
    if not environment.argv:
        sys.argv = [spec.source.file or ""]
        return
    name, *arguments = map(os.fsdecode, environment.argv)
    bundled = os.path.join(environment.bundle_dir, name) if environment.bundle_dir else ""
    sys.argv = [bundled if os.path.isfile(bundled) else name, *arguments]


class _BundleFirst:
    """Finds modules of the bundle in the bundle, even if the code puts entries before it on `sys.path`.

    Namespace packages, which may have portions elsewhere, are left to `sys.path`.
    """

    def __init__(self, path: Sequence[str]) -> None:
        self._path = path

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        spec = None if path is not None else PathFinder.find_spec(name, self._path, target)
        return spec if spec is not None and spec.origin is not None else None


def reseed() -> None:
    """Seed the random number generators anew: a forked process has copies of its parent's."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def find(source: Source, bundle_dir: str = "") -> Any:
    """Return the user's function or class.

    Args:
        source: The module and name of the code, or its pickle.
        bundle_dir: Directory of the bundle's source files; "" if there is no bundle.

    Raises:
        InvalidError: the module has no such name.
        BaseException: what importing the module raises.
    """
    try:
        return raw(payload.loads(source.pickled) if source.pickled else _named(source, bundle_dir))
    except (ModuleNotFoundError, DeserializationError) as error:
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if bundle_dir and isinstance(missing, ModuleNotFoundError) and missing.name:
            error.add_note(
                "Containers have the packages of their machine, and the local modules that the app's code imports by "
                "name; one that is found in another way must be added: "
                f"Image.add_local_python_source({missing.name.partition('.')[0]!r})"
            )
        raise


def _named(source: Source, bundle_dir: str) -> Any:
    module = _module(source, _place(source, bundle_dir))
    found: Any = module
    for name in source.qualname.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise InvalidError(
                f"module {source.module} has no {source.qualname!r} in a container: functions must be defined in "
                "global scope, unconditionally, or be declared with serialized=True"
            ) from None
    return found


def _place(source: Source, bundle_dir: str) -> str | None:
    if source.file is None or os.path.isabs(source.file):
        return source.file
    if not bundle_dir:
        raise InvalidError(f"{source.file}, where {source.qualname} is defined, is in no bundle: deploy the app again")
    return os.path.join(bundle_dir, source.file)


def _module(source: Source, file: str | None) -> ModuleType:
    if source.module == "__main__":
        if file is None:
            raise InvalidError(f"{source.qualname} was defined in no file: declare it with serialized=True")
        return sys.modules[MAIN] if MAIN in sys.modules else load_script(file, source.package, source.script)
    if file is None or _is_loaded(source.module, file) or _is_importable(source.module, file):
        return importlib.import_module(source.module)
    with _out_of_the_way(source.module):
        if _is_importable(source.module, file):
            return importlib.import_module(source.module)
        return _load_file(source.module, file)


def _is_loaded(name: str, file: str) -> bool:
    """Tell whether a module of that name is loaded from `file`, and is not one of swell's or Python's own."""
    module = sys.modules.get(name)
    place: str | None = getattr(module, "__file__", None)
    if place is None:  # one that has put something else in its place is left
        return module is not None and name not in sys.builtin_module_names
    return os.path.realpath(place) == os.path.realpath(file)


@contextlib.contextmanager
def _out_of_the_way(name: str) -> Generator[None]:
    """Let an import find another module, or package, of that name than the one which this process has loaded.

    As where the client runs, the user's module has its name from then on. Those that have the other one keep it.
    """
    top = name.partition(".")[0]
    others = {other: module for other, module in sys.modules.items() if other == top or other.startswith(f"{top}.")}
    for other in others:
        del sys.modules[other]
    try:
        yield
    except BaseException:
        sys.modules.update(others)
        raise
    if not hasattr(sys.modules.get(top), "__path__"):  # no package has taken the place of theirs
        for other, module in others.items():
            sys.modules.setdefault(other, module)


def _is_importable(module: str, file: str) -> bool:
    """Return whether a plain import of `module` loads `file`."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a parent is missing, or is no package
        return False
    return spec is not None and spec.origin is not None and os.path.realpath(spec.origin) == os.path.realpath(file)


def _load_file(name: str, file: str) -> ModuleType:
    """Run a file as module `name`."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
