"""Source files at the server: put in their place once, from a client or from the store, not believed, and dropped."""

from __future__ import annotations

import asyncio
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

    def __init__(self, kept: Path | None, passing: Path = Path("/nowhere"), *, are_local: bool = True) -> None:
        self.answers: list[Callable[[], None]] = []
        self.store = MemoryStore(self.answers.append)
        self.deleted: list[str] = []
        self.bundles = Bundles(kept, passing, self.store, are_local=are_local, deleted=self.deleted.append)
        self.told: list[tuple[str, str]] = []

    def fetch(self, digest: str = DIGEST, app_id: str = "ap-1") -> list[tuple[str, str]]:
        """Ask for a bundle; return what is told at once."""
        self.told.clear()
        self.bundles.fetch(app_id, digest, lambda place, why: self.told.append((place, why)))
        return list(self.told)

    async def take(
        self, digest: str = DIGEST, archive: bytes = ARCHIVE, app_id: str = "ap-1", *, is_durable: bool = True
    ) -> str:
        return await self.bundles.take(app_id, digest, archive, is_durable=is_durable)

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
        shelf.bundles.fetch("ap-1", DIGEST, lambda directory, why: shelf.told.append((directory, why)))
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
    assert await shelf.take() == ""
    assert await shelf.take() == "", "again is harmless"
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
    assert why in await shelf.take(digest, archive)
    assert os.listdir(tmp_path) == []


def test_a_digest_that_is_none_is_asked_of_nobody(shelf: Shelf) -> None:
    assert shelf.fetch("../../etc") == [("", "'../../etc' is not the digest of a bundle")]
    assert not shelf.answers


async def test_a_server_that_keeps_nothing_has_no_bundles() -> None:
    shelf = Shelf(None)
    assert await shelf.take() == "this server keeps no bundles"
    assert shelf.fetch() == [("", "this server keeps no bundles")]


def test_what_a_killed_server_had_half_written_is_removed(tmp_path: Path) -> None:
    draft = tmp_path / f"~{DIGEST}.abc"
    (draft / "package").mkdir(parents=True)
    Shelf(tmp_path)
    assert not draft.exists()


# ---------------------------------------------------------------- apps that end with their clients, and nodes


def test_two_apps_that_end_with_their_clients_have_one_copy_until_both_are_gone(tmp_path: Path) -> None:
    asyncio.run(_two_apps(Shelf(None, tmp_path), tmp_path))
    assert os.listdir(tmp_path) == []


async def _two_apps(shelf: Shelf, passing: Path) -> None:
    for app_id in ("ap-1", "ap-2"):
        assert await shelf.take(app_id=app_id, is_durable=False) == ""
        assert shelf.fetch(app_id=app_id) == [(str(passing / DIGEST), "")]
    shelf.bundles.drop("ap-1")
    assert (passing / DIGEST / "app.py").exists()
    assert shelf.deleted == []
    shelf.bundles.drop("ap-2")
    assert shelf.deleted == [DIGEST]
    shelf.bundles.drop("ap-2")
    assert shelf.deleted == [DIGEST]


async def test_nodes_fetch_an_archive_which_is_there_as_long_as_an_app_uses_it(tmp_path: Path) -> None:
    shelf = Shelf(None, tmp_path, are_local=False)
    assert await shelf.take(is_durable=False) == ""
    assert shelf.fetch() == [(str(tmp_path / DIGEST), "")]
    assert (tmp_path / DIGEST).read_bytes() == ARCHIVE
    shelf.bundles.drop("ap-1")
    assert os.listdir(tmp_path) == []
    assert shelf.deleted == [DIGEST]


async def test_the_archive_of_a_durable_app_comes_from_the_store(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "kept", tmp_path, are_local=False)
    assert await shelf.take() == ""
    assert await shelf.take(archive=b"garbage") != ""
    assert os.listdir(tmp_path) == [], "the store is about to have it"
    shelf.store.append(BundleRecord(DIGEST, ARCHIVE))
    assert shelf.fetch() == []
    assert shelf.answer() == [(str(tmp_path / DIGEST), "")]
    shelf.bundles.drop("ap-1")
    assert os.listdir(tmp_path) == []
    assert shelf.fetch(app_id="ap-2") == []
    shelf.bundles.drop("ap-2")
    assert shelf.answer() == [("", "its app is gone")]
    assert os.listdir(tmp_path) == []


def test_a_version_without_files_has_an_empty_bundle_on_nodes(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "kept", tmp_path, are_local=False)
    shelf.fetch(bundle.EMPTY)
    assert shelf.answer() == [(str(tmp_path / bundle.EMPTY), "")]
    assert bundle.checked(bundle.EMPTY, (tmp_path / bundle.EMPTY).read_bytes()) == {}
