"""Control groups of Linux, version 2, as directories: which one this process is in, how to enter, empty and remove one.

The rules of the kernel that shape this code. A group that has children with a controller enabled may hold no process
itself, so whoever wants to divide its own group first moves into a child of it, a leaf. A group is removed only when
nothing runs in it, and a process that was killed runs until the kernel has taken it apart. Only groups that were
delegated may be changed: their files belong to this user.

A server that may use them makes this tree, and removes it at its end; if it is killed, its template does:

    OWN                        where the server was started
      swell-PID-BEGUN          named after the server, so that a later one can tell whether it still lives
        server                 the server and all it starts, but for what follows
        ta-...                 a container that has a limit

This module must not know containers, or why anything is limited.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from functools import cache
from pathlib import Path

__all__ = [
    "LEAF",
    "base_name",
    "enter",
    "kill_all",
    "lift_limit",
    "make",
    "mounted_path",
    "move",
    "numbers",
    "own_group",
    "owner_of",
    "processes",
    "remove",
    "server_base",
    "tear_down",
    "write",
]

LEAF = "server"  #: the group of a server itself, in its base
CONTROLLERS = "cgroup.subtree_control"  #: which controllers a group's children have
_PREFIX = "swell-"
_RETRY_S = 0.01


# ---------------------------------------------------------------- what the kernel tells


def mounted_path(memberships: str, mounts: str) -> Path | None:
    """Return the directory of the group that a process is in; None if version 2 has none, or it cannot be seen.

    Args:
        memberships: text of /proc/PID/cgroup.
        mounts: text of /proc/PID/mountinfo.
    """
    path = next((line[3:] for line in memberships.splitlines() if line.startswith("0::")), None)
    if path is None:
        return None
    for line in mounts.splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            root, target = (_unescaped(field) for field in fields.split(" ")[3:5])
            if Path(path).is_relative_to(root) and ".." not in Path(path).parts:
                return Path(target) / Path(path).relative_to(root)
    return None


def _unescaped(field: str) -> str:
    """Return a path as it is: the kernel writes a space, and other bytes that divide fields, as an octal number."""
    return os.fsencode(field).decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape")


def numbers(text: str) -> dict[str, int]:
    """Return what a file such as memory.events says: a name and a number on each line."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and _is_number(pair[1])}


def own_group() -> Path | None:
    """Return the directory of the group that this process is in; None if there is none to be seen."""
    try:
        memberships = Path("/proc/self/cgroup").read_text(errors="surrogateescape")
        return mounted_path(memberships, Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    except OSError:  # a kernel without control groups
        return None


def processes(group: Path) -> set[int]:
    """Return the pids of the processes in a group, not in its children; 0 stands for those that cannot be seen here."""
    try:
        return {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
    except OSError:
        return set()


# ---------------------------------------------------------------- the names of a server's tree


def base_name(pid: int, begun: int) -> str:
    """Return the name of the group that a server makes in its own: no other process ever has the same."""
    return f"{_PREFIX}{pid}-{begun}"


def owner_of(name: str) -> tuple[int, int] | None:
    """Return the pid and the start of the server that a group is named after; None for names of any other kind."""
    parts = name.removeprefix(_PREFIX).split("-")
    if not name.startswith(_PREFIX) or len(parts) != 2 or not all(map(_is_number, parts)):
        return None
    return int(parts[0]), int(parts[1])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def server_base(pid: int) -> Path | None:
    """Return the group that the server `pid` has made, if this process is in its leaf; None if it is not."""
    own = own_group()
    if own is None or own.name != LEAF or (owner_of(own.parent.name) or (0, 0))[0] != pid:
        return None
    return own.parent


# ---------------------------------------------------------------- changing groups


def write(file: Path, text: str) -> None:
    """Write to a file of a group, which takes a command whole or not at all.

    Raises:
        OSError: the kernel refuses; its error number says why.
    """
    fd = os.open(file, os.O_WRONLY)  # a file that this kernel does not have must not be made
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def make(group: Path) -> None:
    """Make a group in one that is there.

    Raises:
        OSError: the kernel refuses; its error number says why.
    """
    os.mkdir(group, 0o700)


def move(pid: int, group: Path) -> None:
    """Move a process with all its threads into a group; 0 is this process.

    Raises:
        OSError: it has ended, or may not be moved.
    """
    write(group / "cgroup.procs", str(pid))


def enter(group: str) -> None:
    """Move this process into a group, for good: what it starts from now on is there, too.

    Raises:
        OSError: the group is gone, or may not be entered.
    """
    move(0, Path(group))
    lift_limit.cache_clear()  # what it has found was in the process that this one was forked from


@cache
def lift_limit() -> None:
    """Let the container that this process is in use as much memory as there is, if its group limits it; for good.

    For a process that is about to write what it hands over to others, who then decide how long that is kept. Looks only
    once.

    Raises:
        OSError: the limit cannot be changed.
    """
    own = own_group()
    if own is not None and own.name != LEAF and owner_of(own.parent.name) is not None:
        write(own / "memory.max", "max")


def kill_all(group: Path) -> None:
    """Kill every process in a group and below it. Those that are on their way out may be there a little longer."""
    try:
        write(group / "cgroup.kill", "1")
    except OSError:  # a kernel older than 5.14, or another process has just removed the group
        for pid in {pid for each in (group, *_below(group)) for pid in processes(each)}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def remove(group: Path) -> bool:
    """Remove a group and those below it; return whether it is gone, which it is not while anything runs in it."""
    for each in (*reversed(_below(group)), group):
        try:
            os.rmdir(each)
        except FileNotFoundError:
            pass
        except OSError:
            return False
    return True


def tear_down(base: Path, patience_s: float) -> bool:
    """Undo what a server has made: kill all in its groups but the leaf, which moves up, and remove them.

    Several processes may do this at the same time. Return whether all is gone, which it may not be in `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    while base.exists() and not _torn_down(base):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_RETRY_S)
    return True


def _torn_down(base: Path) -> bool:
    groups = [group for group in _children(base) if group.name != LEAF]
    for group in groups:
        kill_all(group)
    left = [group for group in groups if not remove(group)]
    if left:
        return False
    for group in (base, base.parent):
        with contextlib.suppress(OSError):  # of the upper one, others than this server may have children
            write(group / CONTROLLERS, "-memory")
    for pid in processes(base / LEAF):
        with contextlib.suppress(OSError):  # it has ended
            move(pid, base.parent)
    return remove(base)


def _children(group: Path) -> list[Path]:
    try:
        with os.scandir(group) as entries:
            return [group / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # it is gone
        return []


def _below(group: Path) -> list[Path]:
    """Return the groups below one, each before those below it."""
    found = _children(group)
    for each in found:  # it grows meanwhile
        found += _children(each)
    return found
