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


class Clocks:
    """What the kernel would tell of processes."""

    def __init__(self) -> None:
        self.ran: dict[int, float] = {}
        self.waited: dict[int, float] = {}
        self.files_read = 0

    def waited_s(self, pid: int) -> float:
        self.files_read += 1
        return self.waited.get(pid, 0.0)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def meter(clocks: Clocks) -> BusyMeter:
    return BusyMeter(2.0, clocks.ran.get, clocks.waited_s)


def test_a_process_that_is_gone_keeps_nothing_busy() -> None:
    assert BusyMeter(2.0).cores([(2**22 + 1, True)]) == (0.0, 0.0)


def test_this_process_keeps_a_core_busy() -> None:
    meter = BusyMeter(2.0)
    meter.cores([(os.getpid(), True)])
    sum(range(200_000))
    busy, working = meter.cores([(os.getpid(), True)])
    assert 0 < busy <= 2.0
    assert working == busy


def test_what_a_process_used_before_the_last_call_does_not_count(meter: BusyMeter, clocks: Clocks) -> None:
    clocks.ran[7], clocks.waited[7] = 500.0, 1.0
    meter.cores([(7, True)])
    assert meter.cores([(7, True)]) == (0.0, 0.0)


def test_computing_keeps_cores_busy_and_never_more_than_there_are(meter: BusyMeter, clocks: Clocks) -> None:
    clocks.ran[7] = 0.0
    meter.cores([(7, True)])
    clocks.ran[7] = 10.0**6
    assert meter.cores([(7, True)]) == (2.0, 2.0)


def test_a_core_that_is_waited_for_is_not_free(meter: BusyMeter, clocks: Clocks) -> None:
    clocks.ran[7] = 0.0
    meter.cores([(7, True)])
    clocks.ran[7], clocks.waited[7] = 1e-9, 10.0**6
    assert meter.cores([(7, True)]) == (2.0, 2.0)


def test_a_start_keeps_cores_busy_and_is_no_work(meter: BusyMeter, clocks: Clocks) -> None:
    clocks.ran[7] = 10.0**6
    assert meter.cores([(7, False)]) == (2.0, 0.0), "it began after the last call"
    clocks.ran[7] *= 2
    assert meter.cores([(7, True)]) == (2.0, 0.0), "some of that was its start"
    clocks.ran[7] *= 2
    assert meter.cores([(7, True)]) == (2.0, 2.0)


def test_processes_that_sleep_cost_no_reading_of_files(meter: BusyMeter, clocks: Clocks) -> None:
    processes = [(pid, True) for pid in range(1_000)]
    clocks.ran |= dict.fromkeys(range(1_000), 1.0)
    meter.cores(processes)
    meter.cores(processes)
    clocks.files_read = 0
    meter.cores(processes)
    assert clocks.files_read == 0
