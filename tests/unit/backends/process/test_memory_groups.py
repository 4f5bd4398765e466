"""When a server may divide the control group it is in, and what the kernel's files say of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

import swell.cgroups as cgroups
from swell.backends.process.memory_groups import OwnGroup, why_not
from swell.model import MemoryExcess

MIB = 1 << 20
OWN = OwnGroup(Path("/g"), "domain", frozenset({"memory", "pids"}), is_writable=True, processes=frozenset({10}))

UNIFIED = "24 30 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "33 32 0:29 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n"
    "34 32 0:30 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw\n"
)
SERVICE = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/swell.service\n"


@pytest.mark.parametrize(
    ("memberships", "mounts", "path"),
    [
        (SERVICE, UNIFIED, f"/sys/fs/cgroup{SERVICE[3:-1]}"),
        ("0::/\n", UNIFIED, "/sys/fs/cgroup"),
        ("4:memory:/x\n1:name=systemd:/\n0::/a/b\n", HYBRID, "/sys/fs/cgroup/unified/a/b"),
        ("0::/docker/ab/c\n", "9 8 0:26 /docker/ab /cg ro - cgroup2 cgroup rw\n", "/cg/c"),
        ("0::/a b\n", "9 8 0:26 / /my\\040groups rw - cgroup2 cgroup rw\n", "/my groups/a b"),
    ],
)
def test_the_directory_of_a_group_is_found(memberships: str, mounts: str, path: str) -> None:
    assert cgroups.mounted_path(memberships, mounts) == Path(path)


@pytest.mark.parametrize(
    ("memberships", "mounts"),
    [
        ("4:memory:/x\n", HYBRID),
        ("0::/a\n", HYBRID.splitlines()[0]),
        ("0::/other\n", "9 8 0:26 /docker/ab /cg ro - cgroup2 cgroup rw\n"),
        ("0::/../sibling\n", UNIFIED),
        ("", ""),
    ],
    ids=["version 1 only", "not mounted", "outside of what is mounted", "outside of the namespace", "no groups"],
)
def test_there_may_be_none_to_be_seen(memberships: str, mounts: str) -> None:
    assert cgroups.mounted_path(memberships, mounts) is None


def test_events_are_numbers_by_name() -> None:
    text = "low 0\nmax 23\noom 1\noom_kill 4\noom_group_kill 1\nstrange ²\n"
    assert cgroups.numbers(text) == {"low": 0, "max": 23, "oom": 1, "oom_kill": 4, "oom_group_kill": 1}
    assert cgroups.numbers("") == {}


def test_a_group_of_its_own_may_be_divided_with_what_the_server_has_started() -> None:
    assert why_not(OWN, 10, set()) == ""
    assert why_not(replace(OWN, processes=frozenset({10, 11})), 10, {11, 12}) == ""


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        (None, "no control group of version 2 can be seen"),
        (replace(OWN, kind=""), "the control group /g is the root of all, not one that can be divided"),
        (replace(OWN, kind="threaded"), "the control group /g is threaded, not one that can be divided"),
        (replace(OWN, controllers=frozenset({"pids"})), "the control group /g has no memory controller"),
        (replace(OWN, is_writable=False), "the control group /g is not delegated to this user"),
        (replace(OWN, processes=frozenset({9})), "this process cannot be seen in the control group /g"),
        (
            replace(OWN, processes=frozenset({10, 11, 700})),
            "the control group /g holds other processes, too, such as 700",
        ),
        (replace(OWN, processes=frozenset({0, 10})), "the control group /g holds other processes, too, such as 0"),
    ],
)
def test_no_other_group_is_touched(group: OwnGroup | None, reason: str) -> None:
    assert why_not(group, 10, {11}) == reason


def test_a_group_is_known_by_its_name_to_be_that_of_a_server() -> None:
    assert cgroups.owner_of(cgroups.base_name(77, 123456)) == (77, 123456)
    for name in ("swell.service", "swell-77", "swell-a-b", "swell-²-1", "swell-1-2-3", "other-77-123456", "77-1"):
        assert cgroups.owner_of(name) is None


def test_a_limit_that_was_never_passed_is_told_as_such() -> None:
    refused = MemoryExcess(256 * MIB - 5, 256 * MIB)
    assert str(refused) == "used 256 MiB of memory and wanted more; its limit is 256 MiB"
