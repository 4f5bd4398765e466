"""A node is what this process may use, not what is built in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swell.backends.process.host import BusyMeter, describe_host
from swell.model import Gpu


def group(root: Path, path: str, **files: str) -> None:
    directory = root / path
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


def test_without_limits_it_is_the_machine(tmp_path: Path, own: Path) -> None:
    own.write_text("0::/\n")
    group(tmp_path, ".", cpu__max="max 100000\n", memory__max="max\n")
    node = describe_host((), tmp_path, own)
    assert node.cpu == len(os.sched_getaffinity(0))
    assert node.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_version_2_limits_bind_from_every_ancestor(tmp_path: Path, own: Path) -> None:
    own.write_text("0::/a/b\n")
    group(tmp_path, "a", cpu__max="50000 100000", memory__max=str(1 << 30))
    group(tmp_path, "a/b", cpu__max="max 100000", memory__max=str(64 << 20))
    node = describe_host((), tmp_path, own)
    assert (node.cpu, node.memory_bytes) == (0.5, 64 << 20)


def test_version_1_limits_bind(tmp_path: Path, own: Path) -> None:
    own.write_text("5:memory:/x\n4:cpu,cpuacct:/x\n0::/\n")
    group(tmp_path, "cpu,cpuacct/x", cpu__cfs_quota_us="25000\n", cpu__cfs_period_us="100000\n")
    group(tmp_path, "cpu,cpuacct", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    group(tmp_path, "memory/x", memory__limit_in_bytes=str(32 << 20))
    group(tmp_path, "memory", memory__limit_in_bytes=str(2**63 - 4096))
    node = describe_host((), tmp_path, own)
    assert (node.cpu, node.memory_bytes) == (0.25, 32 << 20)


def test_gpus_are_part_of_it(tmp_path: Path, own: Path) -> None:
    own.write_text("0::/\n")
    gpu = Gpu("GPU-1", "H100")
    assert describe_host([gpu], tmp_path, own).gpus == (gpu,)


def process(proc: Path, pid: int, *, ticks: int, waited_ns: int | None) -> None:
    """Write what the kernel would tell of a process called "a (b) c"."""
    user, system = ticks // 2, ticks - ticks // 2
    fields = " ".join(["S", *["0"] * 10, str(user), str(system), *["0"] * 5])
    group(proc, str(pid), stat=f"{pid} (a (b) c) {fields}\n")
    if waited_ns is not None:
        group(proc, str(pid), schedstat=f"{ticks * 10_000_000} {waited_ns} 5\n")


def test_a_process_that_is_gone_keeps_nothing_busy() -> None:
    assert BusyMeter(2.0).busy_cores([2**22 + 1]) == 0.0


def test_what_a_process_used_before_the_first_look_does_not_count(tmp_path: Path) -> None:
    meter = BusyMeter(2.0, tmp_path)
    process(tmp_path, 7, ticks=500, waited_ns=10**9)
    assert meter.busy_cores([7]) == 0.0
    assert meter.busy_cores([7]) == 0.0


@pytest.mark.parametrize(("ticks", "waited_ns"), [(10**6, 0), (10**6, None)])
def test_computing_keeps_cores_busy_and_never_more_than_there_are(
    tmp_path: Path, ticks: int, waited_ns: int | None
) -> None:
    meter = BusyMeter(2.0, tmp_path)
    process(tmp_path, 7, ticks=0, waited_ns=waited_ns)
    meter.busy_cores([7])
    process(tmp_path, 7, ticks=ticks, waited_ns=waited_ns)
    assert meter.busy_cores([7]) == 2.0


def test_a_core_that_is_waited_for_is_not_free(tmp_path: Path) -> None:
    meter = BusyMeter(2.0, tmp_path)
    process(tmp_path, 7, ticks=0, waited_ns=0)
    meter.busy_cores([7])
    process(tmp_path, 7, ticks=0, waited_ns=10**15)
    assert meter.busy_cores([7]) == 2.0
