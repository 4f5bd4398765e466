"""A node is what this process may use, not what is built in."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from swell.backends.process.host import count_oom_kills, describe_host
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


def test_the_count_of_kills_stays_what_it_was_while_no_file_can_be_opened() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        kills = count_oom_kills(7)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert kills == 7
