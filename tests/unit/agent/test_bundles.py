"""The bundles of a node: fetched once, held while containers need them, removed when no app uses them, and bounded."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from patience import wait_until

from swell.agent.bundles import AgentBundles
from swell.link.bulk import BulkError
from swell.wire import bundle

KB = 1 << 10
BYTES_MAX = 4 * KB


class Node:
    """Bundles of a node, and the server that has them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.archives: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.told: list[tuple[str, str]] = []
        self.may_send = threading.Event()
        self.may_send.set()
        self.bundles = AgentBundles(str(directory), self._fetch, BYTES_MAX)
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def _fetch(self, digest: str) -> bytes:
        self.fetched.append(digest)
        self.may_send.wait()
        if digest not in self.archives:
            raise BulkError(f"the server cannot read {digest}")
        return self.archives[digest]

    def make(self, size: int, name: str = "app.py") -> str:
        digest, archive = bundle.pack({name: bytes(size)})
        self.archives[digest] = archive
        return digest

    def hold(self, digest: str, holder: str) -> None:
        def ready(why: str) -> None:
            self.told.append((holder, why))
            self._news.set()

        self.bundles.hold(digest, holder, ready)

    async def told_of(self, *holders: str) -> list[str]:
        """Wait until these are told; return why they have nothing, "" for those that have."""
        while not set(holders) <= {holder for holder, _ in self.told}:
            self._news.clear()
            await self._news.wait()
        return [dict(self.told)[holder] for holder in holders]

    async def has(self, *digests: str) -> None:
        """Wait until these bundles are there and nothing else."""
        await asyncio.to_thread(wait_until, lambda: set(os.listdir(self.directory)) == set(digests))


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


async def test_several_containers_share_one_fetch(node: Node) -> None:
    digest = node.make(KB)
    for holder in "abc":
        node.hold(digest, holder)
    assert await node.told_of("a", "b", "c") == ["", "", ""]
    node.hold(digest, "d")
    assert node.told[-1] == ("d", ""), "at once"
    assert node.fetched == [digest]
    assert (node.directory / digest / "app.py").read_bytes() == bytes(KB)


async def test_one_that_gives_up_is_not_called_and_the_others_are(node: Node) -> None:
    digest = node.make(KB)
    node.may_send.clear()
    node.hold(digest, "a")
    node.hold(digest, "b")
    assert node.bundles.is_awaited_by("a")
    node.bundles.release("a")
    assert not node.bundles.is_awaited_by("a")
    node.may_send.set()
    assert await node.told_of("b") == [""]
    assert not node.bundles.is_awaited_by("b")
    assert node.told == [("b", "")]


async def test_what_no_app_uses_is_removed_when_its_last_container_is_gone(node: Node) -> None:
    digest = node.make(KB)
    node.hold(digest, "a")
    await node.told_of("a")
    node.bundles.forget(digest)
    assert os.listdir(node.directory) == [digest]
    node.bundles.release("a")
    await node.has()
    node.hold(digest, "b")
    assert await node.told_of("b") == [""]
    node.bundles.release("b")
    assert os.listdir(node.directory) == [digest], "another app uses it"


async def test_what_no_app_uses_any_more_when_it_comes_is_removed(node: Node) -> None:
    digest = node.make(KB)
    node.may_send.clear()
    node.hold(digest, "a")
    node.bundles.release("a")
    node.bundles.forget(digest)
    node.may_send.set()
    node.hold(other := node.make(KB, "other.py"), "b")
    await node.told_of("b")
    await node.has(other)


async def test_a_bundle_that_cannot_be_fetched_or_is_another_fails_who_waits_and_is_tried_again(node: Node) -> None:
    digest = node.make(KB)
    right = node.archives[digest]
    node.archives[digest] = bundle.pack({"other.py": b""})[1]
    node.hold(digest, "a")
    assert "is not what its digest" in (await node.told_of("a"))[0]
    del node.archives[digest]
    node.hold(digest, "b")
    assert f"the server cannot read {digest}" in (await node.told_of("b"))[0]
    node.archives[digest] = right
    node.hold(digest, "c")
    assert await node.told_of("c") == [""]


async def test_those_that_nobody_holds_make_room_the_one_used_longest_ago_first(node: Node) -> None:
    first, second, third = (node.make(2 * KB, name) for name in ("1.py", "2.py", "3.py"))
    for number, digest in enumerate((first, second, first)):
        node.hold(digest, str(number))
        await node.told_of(str(number))
        node.bundles.release(str(number))
    node.hold(third, "a")
    assert await node.told_of("a") == [""]
    await node.has(first, third)
    node.hold(first, "b")
    node.hold(second, "c")
    (why,) = await node.told_of("c")
    assert why.endswith(
        "they have 2,048 bytes, and 0 of 4,096 are free for source files there; containers use the others"
    )
