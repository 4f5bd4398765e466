"""Roots: the directories in which this program finds its modules, and which of them are local.

*Installed* are Python's own directories, those called site-packages or dist-packages, archives, and entries that `.pth`
files (mostly editable installs) add behind the standard library. Any other directory on `sys.path` is *local*: that of
the script, the working directory, the entries of PYTHONPATH, and entries that the program itself adds. This module must
not know apps or bundles, and imports no module that it finds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec, PathFinder
from typing import Final, NamedTuple

import swell.wire

__all__ = ["ModuleLocation", "Roots"]

_SUFFIXES: Final = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES)  # in the order in which Python looks for them
_SITES: Final = {"site-packages", "dist-packages"}
_ARCHIVE: Final = f"python{sys.version_info.major}{sys.version_info.minor}.zip"  # on the path even if it does not exist
_STANDARD: Final = os.path.realpath(os.path.dirname(os.__file__))
_SWELL: Final = os.path.realpath(os.path.join(os.path.dirname(swell.wire.__file__), "..", ".."))


class ModuleLocation(NamedTuple):
    """The place of a module."""

    file: str  #: file of the module, or of the nearest package above it
    directories: tuple[str, ...]  #: directories of its top-level package; () if that is a single file
    is_local: bool


class _Root(NamedTuple):
    """A directory in which modules are searched."""

    directory: str
    is_local: bool


class Roots:
    """The entries of an import path.

    Attributes:
        kept: Entries that a deployed version keeps, as absolute paths: installed ones, and that of swell.
    """

    def __init__(self, path: Sequence[str]) -> None:
        """Classify the entries of an import path, usually `sys.path`."""
        entries = [os.path.abspath(entry) for entry in path]
        # Entries of the program come before the standard library; entries of `.pth` files come last.
        behind = next((at for at, entry in enumerate(entries) if _is_python(entry)), len(entries))
        added = {line for entry in entries if os.path.basename(entry) in _SITES for line in _lines_of_pth(entry)}
        self._roots: list[_Root] = []
        kept: list[str] = []
        for at, entry in enumerate(entries):
            is_installed = _is_environment(entry) or (at > behind and os.path.realpath(entry) in added)
            self._roots.append(_Root(entry, not is_installed))
            if is_installed or _is_swell(entry):
                kept.append(entry)
        self.kept = tuple(kept)

    def find(self, name: str) -> ModuleLocation | None:
        """Return the module that an import of a dotted name finds, or its nearest parent; None if there is neither.

        As in Python, the first entry with a package or module of that name wins; directories without `__init__.py` are
        namespaces, which count if no entry has one, and here only if a module is found in them. A module that no entry
        has, but that is imported already, is found at its file.
        """
        file, is_local = "", False
        places: Sequence[_Root] = self._roots
        portions: Sequence[_Root] | None = None
        for part in name.split("."):
            at, places, here = _look(part, places)
            portions = places if portions is None else portions
            if at:
                file, is_local = at, is_local if file else here
            if not places:
                break
        if not file:
            return self._elsewhere(name.partition(".")[0])
        inner = tuple(place.directory for place in portions or () if place.is_local == is_local)
        return ModuleLocation(file, inner, is_local)

    def _elsewhere(self, top: str) -> ModuleLocation | None:
        """Return a module that no entry has: by the finder of an editable install, or from an earlier import."""
        spec = _spec_of(top)
        if spec is not None:
            return _found(spec.origin, spec.submodule_search_locations or (), is_local=False)
        module = sys.modules.get(top)
        file: str | None = getattr(module, "__file__", None)
        is_local = file is not None and not self.is_installed(file)
        return _found(file, getattr(module, "__path__", ()), is_local=is_local)

    def is_installed(self, file: str) -> bool:
        """Tell whether the innermost entry above a file belongs to the environment."""
        file = os.path.realpath(file)
        above = [place for place in self._roots if file.startswith(os.path.realpath(place.directory) + os.sep)]
        if not above:
            return _is_site(file)
        return not max(above, key=lambda place: (len(os.path.realpath(place.directory)), place.is_local)).is_local

    @staticmethod
    def is_editable(file: str) -> bool:
        """Tell whether an installed file is outside of site-packages, so that its user may edit it."""
        return not (_is_site(file) or _is_python(file) or os.path.realpath(file).startswith(_SWELL + os.sep))

    @staticmethod
    def kept_in(pythonpath: str) -> str:
        """Return a PYTHONPATH without its local entries."""
        entries = [os.path.abspath(entry) for entry in pythonpath.split(os.pathsep) if entry]
        return os.pathsep.join(entry for entry in entries if _is_environment(entry) or _is_swell(entry))


def _look(name: str, places: Sequence[_Root]) -> tuple[str, Sequence[_Root], bool]:
    """Return a module's file, the places of its submodules, and whether it is local; "" for a namespace."""
    portions: list[_Root] = []
    for directory, is_local in places:
        inner = os.path.join(directory, name)
        if os.path.isdir(inner):
            for suffix in _SUFFIXES:
                if os.path.isfile(file := os.path.join(inner, f"__init__{suffix}")):
                    return file, (_Root(inner, is_local),), is_local
            portions.append(_Root(inner, is_local))
        for suffix in _SUFFIXES:
            if os.path.isfile(file := f"{inner}{suffix}"):
                return file, (), is_local
    return "", portions, False


def _is_environment(entry: str) -> bool:
    return _is_python(entry) or _is_site(entry) or os.path.isfile(entry)


def _is_python(entry: str) -> bool:
    real = os.path.realpath(entry)
    return f"{real}{os.sep}".startswith(_STANDARD + os.sep) or os.path.basename(real) == _ARCHIVE


def _is_site(entry: str) -> bool:
    return not _SITES.isdisjoint(os.path.realpath(entry).split(os.sep))


def _is_swell(entry: str) -> bool:
    return os.path.realpath(entry) == _SWELL


def _spec_of(name: str) -> ModuleSpec | None:
    """Ask the finders that do not search `sys.path`."""
    for finder in sys.meta_path:
        if finder is not PathFinder and hasattr(finder, "find_spec") and (spec := finder.find_spec(name, None)):
            return spec
    return None


def _found(file: str | None, directories: Iterable[str], *, is_local: bool) -> ModuleLocation | None:
    if file is None or not os.path.isfile(file):  # built into Python, or in an archive
        return None
    return ModuleLocation(os.path.abspath(file), tuple(map(os.path.abspath, directories)), is_local)


def _lines_of_pth(site: str) -> Iterator[str]:
    """Yield the directories that the `.pth` files of a site directory add to the path."""
    if not os.path.isdir(site):
        return
    for name in os.listdir(site):
        if not name.endswith(".pth"):
            continue
        try:
            with open(os.path.join(site, name), encoding="utf-8", errors="replace") as file:
                lines = file.readlines()
        except OSError:
            continue  # as Python does
        for line in lines:
            if line.strip() and not line.startswith(("#", "import ", "import\t")):
                yield os.path.realpath(os.path.join(site, line.strip()))
