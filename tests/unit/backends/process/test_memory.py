"""What counts as a container's memory, read from a /proc that a test has written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swell.backends.process.memory import LimitedContainer, MemoryReader
from swell.model import MemoryExcess

MIB = 1 << 20
OWN = "/dev/shm/swell-run"


class Processes:
    """A /proc with a few processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = root / "files"
        self.files.mkdir()
        mounts = root / str(os.getpid())
        mounts.mkdir()
        device = os.stat(self.files).st_dev
        line = f"30 1 {os.major(device)}:{os.minor(device)} / {root} rw - tmpfs tmpfs rw\n"
        (mounts / "mountinfo").write_text("29 1 999:9 / / rw - ext4 /dev/vda rw\n" + line)

    def add(
        self, pid: int, parent: int = 1, *, resident: int = 0, proportional: int = 0, shared: int = 0, swapped: int = 0
    ) -> None:
        """Add a process; all in MiB."""
        directory = self.root / str(pid)
        (directory / "fd").mkdir(parents=True)
        (directory / "stat").write_text(f"{pid} (py) thon) S {parent} {pid} {pid} " + "0 " * 15 + "1234 0 0")
        (directory / "status").write_text(
            f"Name:\tpython\nVmRSS:\t999999999 kB\nRssAnon:\t{resident * 1024} kB\nRssFile:\t999999 kB\n"
            f"RssShmem:\t{shared * 1024} kB\nVmSwap:\t{swapped * 1024} kB\n"
        )
        (directory / "smaps_rollup").write_text(
            f"5500-7fff ---p 00000000 00:00 0  [rollup]\nRss: 99999999 kB\nPss: 99999999 kB\n"
            f"Pss_Anon: {proportional * 1024} kB\nPss_File: 9999999 kB\nPss_Shmem: {shared * 1024} kB\n"
            f"SwapPss: {swapped * 1024} kB\n"
        )
        (directory / "smaps").write_text("")

    def opens(self, pid: int, name: str, size_mib: int) -> os.stat_result:
        """Let a process hold a file in memory open."""
        path = self.files / name
        if not path.exists():
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size_mib * MIB)
        directory = self.root / str(pid) / "fd"
        (directory / str(3 + len(os.listdir(directory)))).symlink_to(path)
        return path.stat()

    def maps(self, pid: int, file: os.stat_result, part_mib: int, path: str = "/memfd:x (deleted)") -> None:
        """Let a process map a file, with so much of it resident."""
        device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}"
        with (self.root / str(pid) / "smaps").open("a") as smaps:
            smaps.write(
                f"7f01-7f02 rw-s 00000000 {device} {file.st_ino}    {path}\nSize: 9 kB\nPss: {part_mib * 1024} kB\n"
                "VmFlags: rd wr\n7f03-7f04 rw-p 00000000 00:00 0 \nPss: 77 kB\n"
            )

    def used(self, pid: int, limit_mib: int = 0) -> int | None:
        """Return how many MiB a container uses, None if that is within its limit."""
        found = MemoryReader(OWN, self.root).find_excesses([LimitedContainer("ta-1", pid, limit_mib * MIB)])
        assert all(name == "ta-1" and excess.limit_bytes == limit_mib * MIB for name, excess in found)
        return found[0][1].used_bytes // MIB if found else None


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path)


def test_all_that_descends_from_the_first_process_counts_and_nothing_else(processes: Processes) -> None:
    processes.add(10, resident=100, proportional=90)
    processes.add(11, parent=10, resident=50, proportional=40)
    processes.add(12, parent=11, resident=50, proportional=40)
    processes.add(20, resident=500, proportional=500)
    assert processes.used(10) == 170


def test_what_is_shared_with_others_counts_in_parts_only(processes: Processes) -> None:
    processes.add(10, resident=300, proportional=20)
    assert processes.used(10, limit_mib=256) is None
    assert processes.used(10, limit_mib=19) == 20


def test_exact_figures_are_not_read_of_a_container_that_cannot_be_over_its_limit(processes: Processes) -> None:
    processes.add(10, resident=200, proportional=999)
    assert processes.used(10, limit_mib=200) is None
    assert processes.used(10, limit_mib=199) == 999


def test_shared_mappings_and_what_is_swapped_out_count(processes: Processes) -> None:
    processes.add(10, resident=10, proportional=10, shared=400, swapped=30)
    assert processes.used(10, limit_mib=256) == 440


def test_a_file_in_memory_that_is_open_and_not_mapped_counts_once(processes: Processes) -> None:
    processes.add(10, resident=10, proportional=10)
    processes.add(11, parent=10)
    for pid in (10, 11):
        processes.opens(pid, "big", 3)
    assert processes.used(10) == 13


def test_a_file_in_memory_that_is_open_and_mapped_counts_once(processes: Processes) -> None:
    processes.add(10, resident=10, proportional=10, shared=2)
    file = processes.opens(10, "big", 5)
    processes.maps(10, file, 2)
    assert processes.used(10) == 15, "2 of its 5 MiB are among the shared pages already"


def test_files_of_swell_itself_do_not_count(processes: Processes) -> None:
    processes.add(10, resident=10, proportional=10, shared=400)
    other = os.stat_result((0, 77, 5, 1, 0, 0, 0, 0, 0, 0))
    processes.maps(10, other, 400, f"{OWN}/blobs/argument")
    assert processes.used(10) == 10


def test_files_on_disk_do_not_count(processes: Processes) -> None:
    processes.add(10, resident=10, proportional=10)
    mounts = processes.root / str(os.getpid()) / "mountinfo"
    mounts.write_text(mounts.read_text().replace("tmpfs tmpfs", "ext4 /dev/vdb"))
    processes.opens(10, "big", 3)
    assert processes.used(10) == 10


def test_a_container_that_has_ended_meanwhile_uses_nothing(processes: Processes) -> None:
    assert processes.used(10) is None


def test_many_containers_are_read_at_once(processes: Processes) -> None:
    for pid in (10, 20, 30):
        processes.add(pid, resident=pid * 10, proportional=pid * 10)
    watched = [LimitedContainer(f"ta-{pid}", pid, 150 * MIB) for pid in (10, 20, 30)]
    assert MemoryReader(OWN, processes.root).find_excesses(watched) == [
        ("ta-20", MemoryExcess(200 * MIB, 150 * MIB)),
        ("ta-30", MemoryExcess(300 * MIB, 150 * MIB)),
    ]


def test_the_excess_in_words_is_never_less_than_the_limit() -> None:
    assert str(MemoryExcess(256 * MIB + 1, 256 * MIB)) == "used 257 MiB of memory; its limit is 256 MiB"
