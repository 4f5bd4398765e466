"""The files of a bundle: their paths here and in the bundle, their sizes, and their contents.

Collects names and sizes first and reads contents last, so that a directory that is far too large is refused without
being read. This module must not know modules, apps or archives.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from typing import Final

from swell.errors import InvalidError
from swell.sdk.declare.ignore import Ignore

__all__ = ["Files"]

SHOWN: Final = 5  #: files that a message names
_MIB: Final = 1 << 20
_BYTE_CODE: Final = (".pyc", ".pyo")


class Files:
    """Files by their path in the bundle.

    Args:
        files_max: The most files.
        size_max: The most bytes of all files together.
    """

    def __init__(self, files_max: int, size_max: int) -> None:
        self._files_max = files_max
        self._size_max = size_max
        self._files: dict[str, str] = {}  # in the bundle -> here
        self._sizes: dict[str, int] = {}
        self._asked: set[str] = set()
        self._total = 0
        self._contents: dict[str, bytes] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def put(self, path: str, file: str, *, asked: bool = False) -> None:
        """Add a file at a path of the bundle.

        Args:
            path: Its path in the bundle.
            file: Its path here.
            asked: The user named it: it takes precedence over later files at this path that the user did not name.

        Raises:
            InvalidError: it cannot be read, another file has this path, or files are too many or too large.
        """
        self._add(path, file, asked=asked)
        self._check()

    def put_tree(self, path: str, directory: str, ignore: Ignore, *, asked: bool = False) -> None:
        """Add all files of a directory below a path of the bundle, "" for its top directory.

        Hidden files, byte code and its caches, virtual environments, and files that `ignore` matches are excluded. A
        file that has a path already keeps it; if the user named both, that is an error.

        Raises:
            InvalidError: as `put`.
        """
        for below in _walk(directory, ignore):
            self._add(os.path.join(path, below), os.path.join(directory, below), asked=asked, yields=not asked)
        self._check()

    def contents(self, path: str) -> bytes:
        """Return the contents of a file of the bundle.

        Raises:
            InvalidError: it cannot be read.
        """
        if path not in self._contents:
            file = self._files[path]
            try:
                with open(file, "rb") as opened:
                    self._contents[path] = opened.read()
            except OSError as error:
                raise _unreadable(file, error) from error
        return self._contents[path]

    def read(self) -> dict[str, bytes]:
        """Return the contents of all files, by their path in the bundle.

        Raises:
            InvalidError: one cannot be read.
        """
        return {path: self.contents(path) for path in self._files}

    @property
    def origins(self) -> list[str]:
        """The paths of the files here."""
        return list(self._files.values())

    def _add(self, path: str, file: str, *, asked: bool, yields: bool = False) -> None:
        known = self._files.get(path)
        if known is not None:
            is_settled = yields or (path in self._asked and not asked)
            if not is_settled and os.path.realpath(known) != os.path.realpath(file):
                raise InvalidError(f"{known} and {file} would both be {path} in a container: rename one of them")
            return
        try:
            status = os.stat(file)
        except OSError as error:
            raise _unreadable(file, error) from error
        if not stat.S_ISREG(status.st_mode):
            raise InvalidError(f"{file} belongs to the app, and is not a regular file: leave it out")
        self._files[path] = file
        self._sizes[path] = status.st_size
        self._total += status.st_size
        if asked:
            self._asked.add(path)
        if len(self._files) > self._files_max:  # at once, since a directory may have millions of files
            self._check()

    def _check(self) -> None:
        if len(self._files) > self._files_max:
            crowds = Counter(os.path.dirname(file) for file in self._files.values()).most_common(SHOWN)
            where = ", ".join(f"{folder} ({count:,})" for folder, count in crowds)
            raise InvalidError(
                f"the app has more than {self._files_max:,} source files. Most are in {where}. {_advice()}"
            )
        if self._total > self._size_max:
            largest = sorted(self._sizes, key=lambda path: (-self._sizes[path], path))[:SHOWN]
            which = ", ".join(f"{self._files[path]} ({self._sizes[path] / _MIB:.1f} MiB)" for path in largest)
            raise InvalidError(
                f"the app's source files have {self._total / _MIB:.1f} MiB, over the limit of "
                f"{self._size_max / _MIB:g} MiB. The largest: {which}. {_advice()}"
            )


def _advice() -> str:
    return (
        "Leave files out: keep data outside of packages and pass its path, install the package with pip, or name what "
        "is not needed, as in Image.add_local_python_source('package', ignore=['data'])"
    )


def _unreadable(file: str, error: OSError) -> InvalidError:
    return InvalidError(f"{file} belongs to the app, and cannot be read: {error.strerror}")


def _walk(
    directory: str, ignore: Ignore, below: str = "", above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[str]:
    """Yield the paths of the files to add, relative to a directory; `above` are the directories on the way to it."""
    folder = os.path.join(directory, below) if below else directory
    try:
        status, names = os.stat(folder), sorted(os.listdir(folder))
    except OSError as error:
        raise _unreadable(folder, error) from error
    identity = (status.st_dev, status.st_ino)
    if identity in above:  # a link to one of them: the walk would never end
        return
    for name in names:
        path = os.path.join(below, name)
        if name.startswith("."):
            continue
        if os.path.isdir(os.path.join(directory, path)):
            if not _is_left_out(os.path.join(directory, path)) and not ignore.closes(path):
                yield from _walk(directory, ignore, path, above | {identity})
        elif not name.endswith(_BYTE_CODE) and not ignore(path) and not _is_empty(os.path.join(directory, path)):
            yield path


def _is_left_out(folder: str) -> bool:
    return os.path.basename(folder) == "__pycache__" or os.path.exists(os.path.join(folder, "pyvenv.cfg"))


def _is_empty(file: str) -> bool:
    """Tell whether it has no contents: a socket, a pipe, or a link to nothing, as editors leave them as locks.

    A file that cannot be read is reported later.
    """
    try:
        mode = os.stat(file).st_mode
    except OSError:
        return os.path.islink(file) and not os.path.exists(file)
    return not stat.S_ISREG(mode)
