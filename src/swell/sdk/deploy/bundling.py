"""Bundling: collects the source files of a version of an App, so that editing them later does not change the version.

A bundle has

- the file of every module that defines a function or class of the App;
- every *local* module (see `roots`) that a file in the bundle imports, anywhere in its text. A module of a package
  includes the whole top-level package, with its data files. Pickled functions name the modules that they need in their
  pickle;
- the files that images name: `add_local_python_source`, `add_local_dir`, `add_local_file`.

Files have the paths at which an import looks for them: the bundle's directory replaces all local roots. Data files
beside a script belong to no package, and are included only if an image names them. Installed modules are not included
unless an image names them; a warning names editable installs that the code imports.

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
from swell.sdk.deploy.roots import ModuleLocation, Roots
from swell.sdk.deploy.specs import AppSpec, specs_of
from swell.wire.bundle import FILES_MAX, SIZE_MAX, pack, write

__all__ = ["Bundled", "SourceCopy", "bundle", "bundle_copy", "copy_sources"]

_NEVER: Final = {"swell", "__main__", SCRIPT}  #: every container has them
_SUFFIXES: Final = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES)
_EVERYTHING: Final = Ignore()


class Bundled(NamedTuple):
    """A version of an App, as it is deployed."""

    specs: list[FunctionSpec]  #: the file of a source is a path in the bundle, or absolute if it is installed
    environment: Environment
    archive: bytes  #: the files; b"" if `environment.bundle` is empty


class SourceCopy(NamedTuple):
    """A run of an App from copies of its source files, which later edits do not change."""

    specs: list[FunctionSpec]
    environment: Environment
    files: list[str]  #: paths of the files that were copied


def bundle(app: AppSpec, *, is_for_elsewhere: bool = False) -> Bundled:
    """Collect the files and the environment of a version of an App, as they are now.

    Args:
        app: The App.
        is_for_elsewhere: Its containers do not see this machine: there is a bundle even if it has no files.

    Raises:
        InvalidError: a file cannot be read, its path leads out of the bundle, files are too many or too large, two have
            the same path, or a spec is not valid.
        NotFoundError: an environment variable that a Secret requires is not set.
        SerializationError: a function that travels by value cannot be pickled.
    """
    specs, builder = _gather(app)
    if builder.editable:
        warnings.warn(_editable(builder.editable, is_for_elsewhere=is_for_elsewhere), UserWarning, stacklevel=2)
    files = builder.files.read()
    digest, archive = pack(files) if files or is_for_elsewhere else ("", b"")
    return Bundled(specs, deployed_environment(builder.roots, digest), archive)


def copy_sources(app: AppSpec, directory: str) -> SourceCopy:
    """Copy the files that a run of an App needs, as they are now, for containers of this machine.

    Args:
        app: The App.
        directory: Where to copy them; it must not exist, and must last as long as the run.

    Raises:
        InvalidError, NotFoundError, SerializationError: as `bundle`.
    """
    specs, builder = _gather(app)
    write(builder.files.read(), directory)
    environment = replace(deployed_environment(builder.roots, ""), bundle_dir=directory)
    return SourceCopy(specs, environment, builder.files.origins)


def bundle_copy(copy: SourceCopy) -> Bundled:
    """Return what `bundle` would have returned when the copy was made, for containers that do not see this machine.

    Raises:
        InvalidError: the copy cannot be read.
    """
    files = Files(FILES_MAX, SIZE_MAX)
    files.put_tree("", copy.environment.bundle_dir, _EVERYTHING)
    digest, archive = pack(files.read())
    return Bundled(copy.specs, replace(copy.environment, bundle=digest, bundle_dir=""), archive)


def _gather(app: AppSpec) -> tuple[list[FunctionSpec], _BundleBuilder]:
    specs = specs_of(app)
    builder = _BundleBuilder(Roots(sys.path))
    asked: list[Any] = []
    for spec in specs:  # first, so that the files that images name take precedence
        for step in spec.recorded.get("image", []):
            if step not in asked:
                asked.append(step)
                builder.ask(*step)
    specs = [replace(spec, source=builder.place(spec)) for spec in specs]
    builder.follow_imports()
    return specs, builder


class _BundleBuilder:
    """A bundle while its files are collected."""

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self.files = Files(FILES_MAX, SIZE_MAX)
        self.editable: dict[str, str] = {}  # installed top-level modules that may still be edited, and their places
        self._tops: set[str] = set()  # top-level modules in the bundle
        self._names: set[str] = set()  # dotted names that were looked up
        self._scripts: set[str] = set()  # scripts, which are Python whatever their suffix

    # ------------------------------------------------------------ files that images name

    def ask(self, step: str, args: list[Any], options: dict[str, Any]) -> None:
        """Include the files that a step of an image names."""
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

    # ------------------------------------------------------------ modules that define functions

    def place(self, spec: FunctionSpec) -> Source:
        """Include the module that defines a function or class; return its source as a container reads it."""
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
        """Include a module that an import may not find; return False if it is installed."""
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

    # ------------------------------------------------------------ modules that these import

    def follow_imports(self) -> None:
        """Include the local modules that files in the bundle import, directly and indirectly."""
        read: set[str] = set()
        while unread := [path for path in self.files if path not in read]:
            for path in unread:
                read.add(path)
                if path.endswith(".py") or path in self._scripts:
                    for name in imported_by(self.files.contents(path)):
                        self._add(name)

    def _add(self, name: str) -> None:
        """Include the files that an import of a dotted name reads, if they are local."""
        top = name.partition(".")[0]
        if name in self._names or top in self._tops or top in _NEVER:
            return
        self._names.add(name)
        found = self.roots.find(name)
        if found is not None and found.is_local:
            self._add_top(top, found)
        elif found is not None:
            self._leave(name, found)

    def _leave(self, name: str, found: ModuleLocation) -> None:
        if self.roots.is_editable(found.file):
            self.editable[name.partition(".")[0]] = found.directories[0] if found.directories else found.file

    def _add_top(self, top: str, found: ModuleLocation, ignore: Ignore = _EVERYTHING, *, asked: bool = False) -> None:
        self._tops.add(top)
        for directory in found.directories:
            self.files.put_tree(top, directory, ignore, asked=asked)
        if not found.directories:
            self.files.put(_path_of(top, found.file), found.file, asked=asked)


def _editable(modules: dict[str, str], *, is_for_elsewhere: bool) -> str:
    found = ", ".join(f"{top} ({modules[top]})" for top in sorted(modules))
    if is_for_elsewhere:
        return (
            f"installed as editable, and so not among the source files of the app: {found}. Containers of other "
            "machines have it if it is installed there, or if it is taken along: "
            f"Image.add_local_python_source({', '.join(map(repr, sorted(modules)))})"
        )
    return (
        f"installed as editable, and so not part of the version that is deployed: {found}. Editing it later changes "
        f"what runs, unless it is taken along: Image.add_local_python_source({', '.join(map(repr, sorted(modules)))})"
    )


def _import_name(source: Source) -> str:
    """Return the name by which an import finds a module; "" for a script, which no import finds."""
    if source.module != "__main__":
        return source.module
    if not source.package or source.file is None:
        return ""
    return f"{source.package}.{os.path.basename(source.file).partition('.')[0]}"


def _path_of(name: str, file: str) -> str:
    """Return the path in the bundle at which an import of a dotted name looks for a module."""
    base, filename = name.replace(".", os.sep), os.path.basename(file)
    suffix = next((suffix for suffix in _SUFFIXES if filename.endswith(suffix)), os.path.splitext(file)[1])
    return os.path.join(base, filename) if filename == f"__init__{suffix}" else f"{base}{suffix}"


def _is_in(file: str, found: ModuleLocation) -> bool:
    real = os.path.realpath(file)
    return real == os.path.realpath(found.file) or any(
        real.startswith(os.path.realpath(directory) + os.sep) for directory in found.directories
    )


def _local(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _remote(step: str, path: str) -> str:
    """Return the path in the bundle for a `remote_path` of an image; "" for its top directory."""
    plain = os.path.normpath(path)
    if os.path.isabs(plain):
        relative = plain.removeprefix("/root").lstrip("/")
        raise InvalidError(
            f"Image.{step}(…, {path!r}): an absolute path is a place outside of the bundle. Say {relative!r}, and read "
            "it beside the code: os.path.join(os.path.dirname(__file__), …)"
        )
    if plain.split(os.sep)[0] == os.pardir:
        raise InvalidError(f"Image.{step}(…, {path!r}): the path leads out of the bundle; leave out '..'")
    return "" if plain == os.curdir else plain
