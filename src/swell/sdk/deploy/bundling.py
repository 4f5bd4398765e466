"""Bundling: the source files that a version of an App takes along, so that editing them later changes nothing deployed.

A bundle holds

- the file of every module that defines a function or class of the App;
- every *local* module (see `roots`) that a file in the bundle imports, wherever in its text. A module of a package
  brings the whole top-level package, its data files included. Functions that travel by value name the modules they
  need in their pickle;
- what images ask for: `add_local_python_source`, `add_local_dir`, `add_local_file`.

Files are where an import looks for them: the bundle's directory takes the place of all local roots. Data files that lie
beside a script belong to no package, and are only taken if an image asks for them. What is installed stays where it is,
unless it is asked for by name; a warning names editable installs that the code imports.

This module must not know how an archive is made, or how a server keeps it.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from swell.errors import InvalidError
from swell.model import Environment, FunctionSpec, Source
from swell.sdk.declare.ignore import Ignore
from swell.sdk.declare.source import SCRIPT
from swell.sdk.deploy.environment import deployed_environment
from swell.sdk.deploy.files import Files
from swell.sdk.deploy.imports import imported_by, named_in_pickle
from swell.sdk.deploy.roots import Found, Roots
from swell.sdk.deploy.specs import AppSpec, specs_of
from swell.wire.bundle import FILES_MAX, SIZE_MAX, pack, write

__all__ = ["Bundled", "LaidOut", "bundle", "lay_out"]

_NEVER: Final = {"swell", "__main__", SCRIPT}  #: are in every container, whatever is bundled
_SUFFIXES: Final = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES)
_EVERYTHING: Final = Ignore()


class Bundled(NamedTuple):
    """What a version of an App consists of."""

    specs: list[FunctionSpec]  #: a source's file is a path in the bundle, or absolute if it is installed
    environment: Environment
    archive: bytes  #: the files; empty if there are none, and then `environment.bundle` is "", too


class LaidOut(NamedTuple):
    """A run of an App whose source files were copied, so that it does not notice when they are edited."""

    specs: list[FunctionSpec]
    environment: Environment
    files: list[str]  #: that were copied, by where they lie here


def bundle(app: AppSpec) -> Bundled:
    """Collect what a version of an App needs, from this program's surroundings and files as they are now.

    Raises:
        InvalidError: a file cannot be read or would leave the bundle, there are too many or too large ones, two would
            be at one place, or a spec is not as it must be.
        NotFoundError: an environment variable that a Secret requires is not set.
        SerializationError: a function that travels by value cannot be pickled.
    """
    specs, gathering = _gather(app)
    if gathering.editable:
        warnings.warn(_editable(gathering.editable), UserWarning, stacklevel=2)
    files = gathering.files.read()
    digest, archive = pack(files) if files else ("", b"")
    return Bundled(specs, deployed_environment(gathering.roots, digest), archive)


def lay_out(app: AppSpec, directory: str) -> LaidOut:
    """Copy the files that a run of an App needs, as they are now, for containers of this machine to read there.

    Args:
        app: The App.
        directory: Where to; must not exist yet, and must last as long as the run.

    Raises:
        InvalidError, NotFoundError, SerializationError: as `bundle`.
    """
    specs, gathering = _gather(app)
    write(gathering.files.read(), directory)
    environment = replace(deployed_environment(gathering.roots, ""), bundle_dir=directory)
    return LaidOut(specs, environment, gathering.files.origins)


def _gather(app: AppSpec) -> tuple[list[FunctionSpec], _Gathering]:
    specs = specs_of(app)
    gathering = _Gathering(Roots(sys.path))
    asked: list[Any] = []
    for spec in specs:  # first, so that it takes precedence
        for step in spec.recorded.get("image", []):
            if step not in asked:
                asked.append(step)
                gathering.ask(*step)
    specs = [replace(spec, source=gathering.place(spec)) for spec in specs]
    gathering.follow_imports()
    return specs, gathering


class _Gathering:
    """A bundle while its files are being found."""

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self.files = Files(FILES_MAX, SIZE_MAX)
        self.editable: dict[str, str] = {}  # installed top-level modules that may still be edited, and where
        self._tops: set[str] = set()  # top-level modules in the bundle
        self._names: set[str] = set()  # dotted names that were looked for
        self._scripts: set[str] = set()  # Python, though they need not be called .py

    # ------------------------------------------------------------ what images ask for

    def ask(self, step: str, args: list[Any], options: dict[str, Any]) -> None:
        """Take what a step of an image names."""
        match step, args:
            case "add_local_python_source", names:
                for name in names:
                    self._ask_module(name, Ignore(options.get("ignore", ())))
            case "add_local_dir", [local, remote]:
                directory = _local(local)
                if not os.path.isdir(directory):
                    raise InvalidError(f"Image.{step}({local!r}, …): there is no directory {directory}")
                path = _remote(step, remote)
                self.files.put_tree(path, directory, Ignore(options.get("ignore", ())), asked=True)
            case "add_local_file", [local, remote]:
                file = _local(local)
                if not os.path.isfile(file):
                    raise InvalidError(f"Image.{step}({local!r}, …): there is no file {file}")
                path = _remote(step, remote)
                if not path or remote.endswith("/"):
                    path = os.path.join(path, os.path.basename(file))
                self.files.put(path, file, asked=True)
            case _:
                pass  # recorded only

    def _ask_module(self, name: str, ignore: Ignore) -> None:
        top = name.partition(".")[0]
        if top in _NEVER:
            return
        found = self.roots.find(name)
        if found is None:
            raise InvalidError(
                f"Image.add_local_python_source({name!r}): there is no such module, neither on sys.path nor imported"
            )
        self._add_top(top, found, ignore, asked=True)

    # ------------------------------------------------------------ what functions are defined in

    def place(self, spec: FunctionSpec) -> Source:
        """Take the module that defines a function or class; return its source as a container is to read it."""
        source = spec.source
        if source.pickled:
            for name in named_in_pickle(source.pickled):
                self._add(name)
        if source.file is None:
            return source
        name = _import_name(source)
        path = _path_of(name, source.file) if name else os.path.basename(source.file)
        is_there = name.partition(".")[0] in self._tops
        if not is_there and not self._take(name, path, source.file):
            return source
        if path not in self.files:
            raise InvalidError(
                f"{spec.name} is defined in {source.file}, which is left out of the bundle: ignore= names it, or it or "
                "a directory above it is hidden"
            )
        return replace(source, file=path)

    def _take(self, name: str, path: str, file: str) -> bool:
        """Take a module that may be known by another way than an import; return False if it is installed."""
        found = self.roots.find(name) if name else None
        if found is None or not _is_in(file, found):  # a script, or loaded by its path
            if self.roots.is_installed(file):
                return False
            self.files.put(path, file)
            self._scripts.add(path)
        elif found.is_local:
            self._add_top(name.partition(".")[0], found)
        else:
            self._leave(name, found)
            return False
        return True

    # ------------------------------------------------------------ what these import

    def follow_imports(self) -> None:
        """Take the local modules that files in the bundle import, and those that these import."""
        read: set[str] = set()
        while unread := [path for path in self.files if path not in read]:
            for path in unread:
                read.add(path)
                if path.endswith(".py") or path in self._scripts:
                    for name in imported_by(self.files.contents(path)):
                        self._add(name)

    def _add(self, name: str) -> None:
        """Take what an import of a dotted name reads, if it is local."""
        top = name.partition(".")[0]
        if name in self._names or top in self._tops or top in _NEVER:
            return
        self._names.add(name)
        found = self.roots.find(name)
        if found is not None and found.is_local:
            self._add_top(top, found)
        elif found is not None:
            self._leave(name, found)

    def _leave(self, name: str, found: Found) -> None:
        if self.roots.is_editable(found.file):
            self.editable[name.partition(".")[0]] = found.directories[0] if found.directories else found.file

    def _add_top(self, top: str, found: Found, ignore: Ignore = _EVERYTHING, *, asked: bool = False) -> None:
        self._tops.add(top)
        for directory in found.directories:
            self.files.put_tree(top, directory, ignore, asked=asked)
        if not found.directories:
            self.files.put(_path_of(top, found.file), found.file, asked=asked)


def _editable(modules: dict[str, str]) -> str:
    found = ", ".join(f"{top} ({modules[top]})" for top in sorted(modules))
    return (
        f"installed as editable, and so not part of the version that is deployed: {found}. Editing it later changes "
        f"what runs, unless it is taken along: Image.add_local_python_source({', '.join(map(repr, sorted(modules)))})"
    )


def _import_name(source: Source) -> str:
    """Return the name by which an import finds a module; "" for a script, which it does not find."""
    if source.module != "__main__":
        return source.module
    if not source.package or source.file is None:
        return ""
    return f"{source.package}.{os.path.basename(source.file).partition('.')[0]}"


def _path_of(name: str, file: str) -> str:
    """Return where in the bundle an import of a dotted name looks for a module."""
    base, filename = name.replace(".", os.sep), os.path.basename(file)
    suffix = next((suffix for suffix in _SUFFIXES if filename.endswith(suffix)), os.path.splitext(file)[1])
    return os.path.join(base, filename) if filename == f"__init__{suffix}" else f"{base}{suffix}"


def _is_in(file: str, found: Found) -> bool:
    real = os.path.realpath(file)
    return real == os.path.realpath(found.file) or any(
        real.startswith(os.path.realpath(directory) + os.sep) for directory in found.directories
    )


def _local(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _remote(step: str, path: str) -> str:
    """Return where in the bundle an image wants a file or directory, "" for its top."""
    plain = os.path.normpath(path)
    if os.path.isabs(plain):
        relative = plain.removeprefix("/root").lstrip("/")
        raise InvalidError(
            f"Image.{step}(…, {path!r}): containers run on this machine, where an absolute path is a place outside of "
            f"the bundle. Say {relative!r}, and read it beside the code: os.path.join(os.path.dirname(__file__), …)"
        )
    if plain.split(os.sep)[0] == os.pardir:
        raise InvalidError(f"Image.{step}(…, {path!r}): the path leads out of the bundle; leave out '..'")
    return "" if plain == os.curdir else plain
