"""Private files, directories and sockets of one user: make them, and refuse existing ones that are not private.

A data directory holds the token that gives access to everything, the code that containers run, and their results. A
user who can write there controls the server; a user who can read there has its secrets. So three rules:

- **New entries are private from their first moment.** Directories are made with 0700, parents as well, files with 0600,
  sockets with 0600 before they have a name. None of this is left to the umask, which may be 000.
- **Existing entries are checked, not trusted.** An entry must belong to this user, or to root, who can do anything
  anyway; nobody else may write to it; and it must not be a symbolic link, which could lead to an attacker's file, or
  make swell overwrite one of the user's. Files are opened without following links; the open descriptor is checked.
- **Wrong entries are refused, not mended.** Others may have put something there already, and only the owner can judge
  that. The message names the path, the fault and the command that mends it.

A directory that others may read is accepted: names are no secret, and the files in it have 0600. A symbolic link of
this user or root may lead to a data directory, since people move it to another disk that way; a link inside it is
refused. Above it, a directory that everybody may write to must have the sticky bit, as /tmp does: without that bit,
anybody could replace the data directory. Directories that a group may write to are accepted there, as many systems make
homes with a group for each user.

This module must not know the purpose of the files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
from collections.abc import Callable
from typing import Final

from swell.errors import ConnectionError, InvalidError

__all__ = [
    "bind_socket",
    "check_directory",
    "check_entry",
    "check_peer",
    "connect_socket",
    "make_directory",
    "new_directory",
    "open_file",
    "read_file",
    "replace_file",
]

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_FILE: Final = 0o600
_DIRECTORY: Final = 0o700
_PATH_MAX: Final = 107  #: bytes of a socket's path that the system accepts
_CREDENTIALS: Final = struct.Struct("3i")  #: the kernel's struct ucred: pid, uid, gid


# ---------------------------------------------------------------- directories


def make_directory(path: str | os.PathLike[str]) -> None:
    """Make a private directory, and its missing parents; check it if it exists.

    Raises:
        InvalidError: the existing directory is not private.
        OSError: the directory cannot be made.
    """
    path = os.path.abspath(path)
    if not os.path.lexists(path):
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            make_directory(parent)
        with contextlib.suppress(FileExistsError):  # another process was faster
            new_directory(path)
    check_directory(path)


def new_directory(path: str | os.PathLike[str]) -> None:
    """Make a new private directory; fail if anything of that name exists.

    Raises:
        OSError: the name is taken, or the directory cannot be made.
    """
    os.mkdir(path, _DIRECTORY)
    if stat.S_IMODE(os.lstat(path).st_mode) != _DIRECTORY:  # a umask that takes the owner's rights
        os.chmod(path, _DIRECTORY)


def check_directory(path: str | os.PathLike[str]) -> None:
    """Refuse a directory that others may write to or replace.

    Raises:
        InvalidError: names the fault and the command that mends it.
        OSError: the directory does not exist, or this user may not examine it.
    """
    path = os.path.abspath(path)
    _check_link(path)
    real = os.path.realpath(path)
    found = os.stat(real)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    _check(path, found)
    while real != (above := os.path.dirname(real)):
        real, mode = above, os.stat(above).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise InvalidError(
                f"{path} cannot be trusted: anybody may replace what is in {real}, which has mode {_shown(mode)}; "
                f"chmod o-w {real}"
            )


def check_entry(path: str | os.PathLike[str], *, is_secret: bool = False) -> None:
    """Refuse an entry of a private directory that is a link, or not this user's; accept a missing one.

    For files that other code opens, such as a database. `open_file` checks a file as it opens it.

    Args:
        path: Path of the entry.
        is_secret: Refuse it also if others may read it.

    Raises:
        InvalidError: names the fault and the command that mends it.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    _check(os.fspath(path), found, is_secret=is_secret)


def _check_link(path: str) -> None:
    """Refuse a symbolic link of another user on the way to a path."""
    while path != os.path.dirname(path):
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            found = None
        if found is not None and stat.S_ISLNK(found.st_mode) and not _is_trusted(found.st_uid):
            raise InvalidError(
                f"{path} is a symbolic link of user {found.st_uid}, and this is user {os.geteuid()}: remove it"
            )
        path = os.path.dirname(path)


def _check(path: str, found: os.stat_result, *, is_secret: bool = False) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise InvalidError(f"{path} is a symbolic link, which is not followed here: remove it, or put the file there")
    if not _is_trusted(found.st_uid):
        raise InvalidError(
            f"{path} belongs to user {found.st_uid}, and this is user {os.geteuid()}: what is in it cannot be trusted. "
            f"Use another, or see what is in it, then chown {os.geteuid()} {path}"
        )
    wrong = _OTHERS if is_secret else _OTHERS_WRITE
    if found.st_mode & wrong:
        may = "read or write" if is_secret else "write to"
        mended = "700" if stat.S_ISDIR(found.st_mode) else "600"
        raise InvalidError(
            f"others may {may} {path}, which has mode {_shown(found.st_mode)}: see that nobody has put anything there, "
            f"then chmod {mended} {path}"
        )


def _is_trusted(uid: int) -> bool:
    return uid in (os.geteuid(), 0)


def _shown(mode: int) -> str:
    return f"{stat.S_IMODE(mode):04o}"


# ---------------------------------------------------------------- files


def open_file(path: str | os.PathLike[str], flags: int, *, is_secret: bool = False) -> int:
    """Open a private file, or make it with O_CREAT; return its descriptor, which children do not inherit.

    If others may read the file, as older versions allowed for some, they lose that right, unless it is a secret.

    Args:
        path: Path of the file, in a private directory.
        flags: As for `os.open`.
        is_secret: Refuse it if others may read it: they may have done so.

    Raises:
        InvalidError: it is a link or not a regular file, or belongs to another user, or others may write to it.
        OSError: it cannot be opened.
    """
    path = os.fspath(path)
    try:
        # O_NONBLOCK: opening a pipe would otherwise wait for its other end. It has no effect on files.
        # O_TRUNC has to wait until the checks below have passed.
        fd = os.open(path, flags & ~os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, _FILE)
    except OSError:
        check_entry(path)  # the kind of entry explains more than the error
        raise
    try:
        found = os.fstat(fd)
        _check(path, found, is_secret=is_secret)
        if not stat.S_ISREG(found.st_mode):
            raise InvalidError(f"{path} is no file: remove it")
        if found.st_mode & _OTHERS and found.st_uid == os.geteuid():
            os.fchmod(fd, _FILE)
        if flags & os.O_TRUNC:
            os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_file(path: str | os.PathLike[str], *, is_secret: bool = False) -> bytes:
    """Return the content of a private file.

    Raises:
        InvalidError: as for `open_file`.
        OSError: it cannot be read; FileNotFoundError: it does not exist.
    """
    with open(open_file(path, os.O_RDONLY, is_secret=is_secret), "rb") as file:
        return file.read()


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a private file in the place of any existing one, atomically: readers get the old content or the new.

    The file is on the disk when this returns.

    Raises:
        OSError: it cannot be written.
    """
    path = os.fspath(path)
    draft = f"{path}~"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)  # left by a process that was killed
    with open(open_file(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


# ---------------------------------------------------------------- sockets


def bind_socket(path: str | os.PathLike[str]) -> socket.socket:
    """Return a socket bound to a path that only this user can connect to; it does not listen yet.

    Raises:
        OSError: the name is taken, or the socket cannot be made.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(bound.fileno(), _FILE)  # binding keeps this mode, so its path never has another
        _at(bound.bind, path)
    except BaseException:
        bound.close()
        raise
    return bound


def connect_socket(path: str | os.PathLike[str], *, waits: bool = True) -> socket.socket:
    """Return a connection to a server of this user or root.

    Args:
        path: where it listens.
        waits: for a server that has not accepted others yet.

    Raises:
        ConnectionError: the server is another user's, and must get no secret.
        OSError: no server listens there, or it would have to be waited for.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(waits)
        _at(connection.connect, path)
        connection.setblocking(True)
        check_peer(connection, os.fspath(path))
    except BaseException:
        connection.close()
        raise
    return connection


def check_peer(connection: socket.socket, path: str) -> None:
    """Refuse a server of another user, by the credentials that the kernel has of the listener.

    Raises:
        ConnectionError: the server is another user's.
    """
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    if not _is_trusted(uid):
        raise ConnectionError(
            f"the server at {path} belongs to user {uid}, and this is user {os.geteuid()}: nothing is sent to it. "
            "Choose another with SWELL_DATA_DIR or SWELL_SERVER"
        )


def _at(act: Callable[[str], None], path: str | os.PathLike[str]) -> None:
    """Bind or connect at a path of any length; a path too long for the system is opened from its directory."""
    path = os.fspath(path)
    if len(os.fsencode(path)) <= _PATH_MAX:
        act(path)
        return
    folder, name = os.path.split(path)
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        act(f"/proc/self/fd/{directory}/{name}")
    finally:
        os.close(directory)
