"""Control groups of Linux, version 2, as directories: which one this process is in, how to enter, empty and remove one.

Rules of the kernel shape this code. A group that has children with a controller enabled may hold no process itself, so
a process that divides its own group first moves into a child of it, a leaf. A group can be removed only when no process
is in it, and a killed process stays in it until the kernel has released it. Only groups that were delegated may be
changed: their files belong to this user.

A server with a delegated group makes this tree, and removes it at its end; if it is killed, its template removes it:

    OWN                        where the server was started
      swell-PID-BEGUN          named after the server, so that a later one can tell whether it still lives
        server                 the server and all processes it starts, except those below
        ta-...                 a container that has a limit

This module must not know containers, or the reasons for limits.
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


# ---------------------------------------------------------------- reading the kernel's files


def mounted_path(memberships: str, mounts: str) -> Path | None:
    """Return the directory of the group that a process is in; None if version 2 has none, or it is not visible.

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
    """Return a path unescaped: the kernel writes a space, and other bytes that divide fields, as an octal number."""
    return os.fsencode(field).decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape")


def numbers(text: str) -> dict[str, int]:
    """Return the numbers by name in a file such as memory.events, which has a name and a number on each line."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and _is_number(pair[1])}


def own_group() -> Path | None:
    """Return the directory of the group that this process is in; None if none is visible."""
    try:
        memberships = Path("/proc/self/cgroup").read_text(errors="surrogateescape")
        return mounted_path(memberships, Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    except OSError:  # a kernel without control groups
        return None


def processes(group: Path) -> set[int]:
    """Return the pids of the processes in a group, not in its children; 0 stands for those not visible here."""
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
    fd = os.open(file, os.O_WRONLY)  # no O_CREAT: a file that this kernel lacks must not be made
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def make(group: Path) -> None:
    """Make a group in an existing one.

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
    """Move this process into a group for good; processes that it starts from now on are in it, too.

    Raises:
        OSError: the group is gone, or may not be entered.
    """
    move(0, Path(group))
    lift_limit.cache_clear()  # its cached result comes from before the fork


@cache
def lift_limit() -> None:
    """Remove for good the memory limit of the container that this process is in, if its group has one.

    Called before a process writes a file in memory for other processes, which then decide how long it is kept. Only the
    first call does anything.

    Raises:
        OSError: the limit cannot be changed.
    """
    own = own_group()
    if own is not None and own.name != LEAF and owner_of(own.parent.name) is not None:
        write(own / "memory.max", "max")


def kill_all(group: Path) -> None:
    """Kill every process in a group and below it. Killed processes may stay in it a little longer."""
    try:
        write(group / "cgroup.kill", "1")
    except OSError:  # a kernel older than 5.14, or another process has just removed the group
        for pid in {pid for each in (group, *_below(group)) for pid in processes(each)}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def remove(group: Path) -> bool:
    """Remove a group and those below it; return False if a process is still in one of them."""
    for each in (*reversed(_below(group)), group):
        try:
            os.rmdir(each)
        except FileNotFoundError:
            pass
        except OSError:
            return False
    return True


def tear_down(base: Path, patience_s: float) -> bool:
    """Remove the groups of a server: kill the processes in all but the leaf, and move those of the leaf up.

    Several processes may do this at the same time. Return False if a group is left after `patience_s`.
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
        with contextlib.suppress(OSError):  # other programs may have groups in the upper one
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
    for each in found:  # the loop extends it
        found += _children(each)
    return found
