"""How much memory the processes of a container use together, read from /proc.

Counted is what a container takes from the rest of the machine: its pages, also those swapped out, and files in memory
that it maps or holds open. Shared pages count once within a container, and in parts between containers: each page by
the number of processes that map it (the kernel's PSS). So no container is charged for what all of them inherit from a
template. Files on disk that are mapped do not count, since the kernel drops them
when it needs the room; nor do swell's own files in memory, which carry large arguments and results.

Exact figures cost milliseconds for a large process. They are read only for containers of which a cheap upper bound is
over the limit. A file in memory that no process of the container maps or holds open is not found: /proc does not name
its writer. This module must not know what follows from a figure, or when it is read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from msgspec import Struct

import swell.linux as linux
from swell.model import MemoryExcess

__all__ = ["LimitedContainer", "MemoryReader"]

_PROC = Path("/proc")
_KIB = 1024
_BLOCK = 512  #: bytes in the unit of st_blocks
_RESIDENT = (b"RssAnon", b"RssShmem", b"VmSwap")
_PROPORTIONAL = (b"Pss_Anon", b"Pss_Shmem", b"SwapPss")

_File = tuple[int, int]  #: device and inode


class LimitedContainer(Struct, frozen=True):
    """A container that has a limit."""

    container_id: str
    pid: int  #: of its first process
    limit_bytes: int


class MemoryReader:
    """Reads the memory that containers use. Blocks while reading; keeps nothing between two readings."""

    def __init__(self, own_directory: str, proc: Path = _PROC) -> None:
        """Prepare.

        Args:
            own_directory: files below it do not count.
            proc: where the kernel describes processes.
        """
        self._own = own_directory.encode() + b"/"
        self._proc = str(proc)

    def find_excesses(self, watched: Iterable[LimitedContainer]) -> list[tuple[str, MemoryExcess]]:
        """Return which containers use more than their limit allows, and how much."""
        lineage = linux.Lineage(self._proc)
        devices = self._memory_devices()
        found: list[tuple[str, MemoryExcess]] = []
        for each in watched:
            pids = [each.pid, *(pid for pid, _ in lineage.below(each.pid))]
            files = self._open_files(pids, devices)
            if self._sum(pids, "status", _RESIDENT) + sum(files.values()) <= each.limit_bytes:
                continue
            used = self._exact(pids, files)
            if used > each.limit_bytes:
                found.append((each.container_id, MemoryExcess(used, each.limit_bytes)))
        return found

    def _exact(self, pids: list[int], files: dict[_File, int]) -> int:
        mapped, own = self._mapped_files(pids)
        used = self._sum(pids, "smaps_rollup", _PROPORTIONAL) - own
        return used + sum(max(0, size - mapped.get(file, 0)) for file, size in files.items())

    # ------------------------------------------------------------ one file of /proc for each process

    def _sum(self, pids: Iterable[int], name: str, fields: tuple[bytes, ...]) -> int:
        """Add up fields, in bytes, of a file that all these processes have."""
        total = 0
        for pid in pids:
            for line in self._read(pid, name).splitlines():
                field, _, value = line.partition(b":")
                if field in fields:
                    total += int(value.split()[0]) * _KIB
        return total

    def _read(self, pid: int, name: str) -> bytes:
        try:
            with open(f"{self._proc}/{pid}/{name}", "rb") as file:
                return file.read()
        except OSError:  # it has ended, or has become another user's
            return b""

    # ------------------------------------------------------------ files in memory

    def _open_files(self, pids: Iterable[int], devices: Set[int]) -> dict[_File, int]:
        """Return the files in memory that these processes hold open, with the bytes that each takes there."""
        sizes: dict[_File, int] = {}
        for pid in pids:
            with contextlib.suppress(OSError), os.scandir(f"{self._proc}/{pid}/fd") as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        status = os.stat(entry.path)
                        if status.st_dev in devices and not os.fsencode(os.readlink(entry.path)).startswith(self._own):
                            sizes[status.st_dev, status.st_ino] = status.st_blocks * _BLOCK
        return sizes

    def _mapped_files(self, pids: Iterable[int]) -> tuple[dict[_File, int], int]:
        """Return the parts of mapped files that these processes account for, and of swell's own files together."""
        parts: dict[_File, int] = {}
        own = 0
        for pid in pids:
            for file, path, part in _mappings(self._read(pid, "smaps")):
                if path.startswith(self._own):
                    own += part
                else:
                    parts[file] = parts.get(file, 0) + part
        return parts, own

    def _memory_devices(self) -> set[int]:
        """Return the devices whose files are in memory: every tmpfs, and where the kernel keeps memfds."""
        fd = os.memfd_create("swell-device")
        devices = {os.fstat(fd).st_dev}
        os.close(fd)
        for line in self._read_mounts():
            fields, _, kind = line.partition(b" - ")
            if kind.startswith((b"tmpfs ", b"ramfs ")):
                major, _, minor = fields.split(None, 3)[2].partition(b":")
                devices.add(os.makedev(int(major), int(minor)))
        return devices

    def _read_mounts(self) -> list[bytes]:
        return self._read(os.getpid(), "mountinfo").splitlines()


def _mappings(smaps: bytes) -> Iterator[tuple[_File, bytes, int]]:
    """Iterate over the mapped files in the text of /proc/PID/smaps: device and inode, path, and PSS in bytes."""
    file, path = (0, 0), b""
    for line in smaps.splitlines():
        field, _, value = line.partition(b":")
        if field == b"Pss" and file[1]:
            yield file, path, int(value.split()[0]) * _KIB
        elif b"-" in field and b" " in field:  # "7f21-7f22 rw-s 00000000 00:1a 77  /dev/shm/x": the first of a mapping
            fields = line.split(None, 5)
            major, _, minor = fields[3].partition(b":")
            file = (os.makedev(int(major, 16), int(minor, 16)), int(fields[4]))
            path = fields[5] if len(fields) == 6 else b""
