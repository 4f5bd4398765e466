"""Source files on the server's machine: laid out once, from a client or from the store, and not believed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from swell.records import BundleRecord
from swell.server.bundles import Bundles
from swell.store.memory.store import MemoryStore
from swell.wire import bundle

FILES = {"app.py": b"x = 1\n", "package/__init__.py": b""}
DIGEST, ARCHIVE = bundle.pack(FILES)


class Shelf:
    """Bundles before a store that takes its time."""

    def __init__(self, directory: Path | None) -> None:
        self.answers: list[Callable[[], None]] = []
        self.store = MemoryStore(self.answers.append)
        self.bundles = Bundles(directory, self.store)
        self.told: list[tuple[str, str]] = []

    def fetch(self, digest: str = DIGEST) -> list[tuple[str, str]]:
        """Ask for a bundle; return what is told at once."""
        self.told.clear()
        self.bundles.fetch(digest, lambda directory, why: self.told.append((directory, why)))
        return list(self.told)

    def answer(self) -> list[tuple[str, str]]:
        """Let the store answer what it was asked; return what is told because of that."""
        while self.answers:
            self.answers.pop(0)()
        return list(self.told)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_what_the_store_has_is_laid_out_when_it_is_needed(shelf: Shelf, tmp_path: Path) -> None:
    shelf.store.append(BundleRecord(DIGEST, ARCHIVE))
    assert shelf.fetch() == []
    assert shelf.answer() == [(str(tmp_path / DIGEST), "")]
    assert (tmp_path / DIGEST / "app.py").read_bytes() == b"x = 1\n"
    assert shelf.fetch() == [(str(tmp_path / DIGEST), "")], "and then it is there"


def test_those_who_need_it_at_the_same_time_share_one_reading(shelf: Shelf, tmp_path: Path) -> None:
    shelf.store.append(BundleRecord(DIGEST, ARCHIVE))
    for _ in range(3):
        shelf.bundles.fetch(DIGEST, lambda directory, why: shelf.told.append((directory, why)))
    assert len(shelf.answers) == 1
    assert shelf.answer() == [(str(tmp_path / DIGEST), "")] * 3


def test_what_is_not_kept_is_told_so(shelf: Shelf) -> None:
    shelf.fetch()
    assert shelf.answer() == [("", f"bundle {DIGEST} is not kept")]


def test_a_damaged_bundle_is_told_so_and_leaves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    shelf.store.append(BundleRecord(DIGEST, ARCHIVE[:-3]))
    shelf.fetch()
    ((directory, why),) = shelf.answer()
    assert directory == ""
    assert why.startswith("the source files cannot be laid out: ")
    assert list(tmp_path.iterdir()) == []


async def test_what_a_client_sends_is_laid_out_at_once(shelf: Shelf, tmp_path: Path) -> None:
    assert await shelf.bundles.unpack(DIGEST, ARCHIVE) == ""
    assert await shelf.bundles.unpack(DIGEST, ARCHIVE) == "", "again is harmless"
    assert shelf.fetch() == [(str(tmp_path / DIGEST), "")]


@pytest.mark.parametrize(
    ("digest", "archive", "why"),
    [
        (bundle.digest_of({"other.py": b""}), ARCHIVE, "the bundle is not what its digest"),
        (DIGEST, b"", "the source files cannot be laid out"),
        (DIGEST, b"garbage", "the source files cannot be laid out"),
        ("../../etc", ARCHIVE, "'../../etc' is not the digest of a bundle"),
        ("", ARCHIVE, "'' is not the digest of a bundle"),
        ("é" * 64, ARCHIVE, "is not the digest of a bundle"),
    ],
)
async def test_what_a_client_sends_is_not_believed(
    shelf: Shelf, tmp_path: Path, digest: str, archive: bytes, why: str
) -> None:
    assert why in await shelf.bundles.unpack(digest, archive)
    assert os.listdir(tmp_path) == []


def test_a_digest_that_is_none_is_asked_of_nobody(shelf: Shelf) -> None:
    assert shelf.fetch("../../etc") == [("", "'../../etc' is not the digest of a bundle")]
    assert not shelf.answers


async def test_a_server_that_keeps_nothing_has_no_bundles() -> None:
    shelf = Shelf(None)
    assert await shelf.bundles.unpack(DIGEST, ARCHIVE) == "this server keeps no bundles"
    assert shelf.fetch() == [("", "this server keeps no bundles")]


def test_what_a_killed_server_had_half_written_is_removed(tmp_path: Path) -> None:
    draft = tmp_path / f"~{DIGEST}.abc"
    (draft / "package").mkdir(parents=True)
    Shelf(tmp_path)
    assert not draft.exists()
