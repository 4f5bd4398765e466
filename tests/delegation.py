"""A control group that a test's server may divide, where this machine lets tests make one.

It does if a group of version 2 that this process is in, or the one above, is this user's and gives its children a
memory controller: in a unit of systemd's user manager (`systemd-run --user --wait --pipe scripts/test`), or below any
group that was handed over like that. This module must not know servers.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import wait_until

import swell.cgroups as cgroups

__all__ = ["delegated_group", "groups_below", "inside"]

GONE_S = 20.0


def _parent() -> Path:
    own = cgroups.own_group()
    if own is None:
        pytest.skip("no control group of version 2 can be seen here")
    for group in (own, own.parent):
        with contextlib.suppress(OSError):
            has_memory = "memory" in (group / cgroups.CONTROLLERS).read_text().split()
            if has_memory and os.access(group, os.W_OK) and os.access(group / "cgroup.procs", os.W_OK):
                return group
    pytest.skip(f"no control group with a memory controller is delegated to this user at or above {own}")


@contextlib.contextmanager
def delegated_group() -> Iterator[Path]:
    """Yield an empty group as a supervisor would hand it over; skip the test where that is not possible."""
    group = _parent() / f"test-{secrets.token_hex(4)}"
    group.mkdir()
    try:
        yield group
    finally:
        cgroups.kill_all(group)
        wait_until(lambda: cgroups.remove(group), f"{group} cannot be removed", seconds=GONE_S)


@contextlib.contextmanager
def inside(group: Path) -> Iterator[None]:
    """Have this process be in a group, which it must be in again at the end, and put it back to where it was."""
    former = cgroups.own_group()
    assert former is not None
    cgroups.move(os.getpid(), group)
    try:
        yield
    finally:
        now = cgroups.own_group()
        cgroups.move(os.getpid(), former)
        assert now == group, "who has divided a group moves back"


def groups_below(group: Path) -> list[str]:
    """Return the paths of all groups below one, relative to it."""
    found = [os.path.join(folder, name) for folder, names, _ in os.walk(group) for name in names]
    return sorted(os.path.relpath(path, group) for path in found)
