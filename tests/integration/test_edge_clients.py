"""Clients of a library, clients that wait to be asked, and containers that are gone between two requests."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
import small as s
from edge_client import Notes, ask, await_idle, await_that, raw, read_until, request, url_of
from patience import patience

import swell

SLOW_S = patience(0.5)


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(s.app, web_rate=1e6, web_head_timeout_s=SLOW_S)


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "note")


def test_connections_of_a_library_are_kept_and_its_streams_arrive_whole() -> None:
    url = url_of(s.site)
    ask(f"{url}/")

    async def talk() -> list[bytes]:
        async def pieces():
            for number in range(5):
                yield b"piece %d " % number
                await asyncio.sleep(0)

        async with aiohttp.ClientSession() as session:
            answers: list[bytes] = []
            for _ in range(3):
                async with session.post(f"{url}/count", data=pieces()) as answer:
                    assert answer.status == 200
                    answers.append(await answer.read())
            return answers

    assert asyncio.run(talk()) == [b"40"] * 3


def test_who_waits_to_be_asked_for_its_body_is_not_too_slow(notes: Notes) -> None:
    url = url_of(s.site)
    ask(f"{url}/")
    with raw(url) as client:
        client.sendall(request(url, f"/wait?{notes}", "POST", "Content-Length: 3", "Expect: 100-continue"))
        notes.await_lines("began")
        client.settimeout(2 * SLOW_S)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(patience())
        notes.go()
        assert read_until(client, b"waited").startswith(b"HTTP/1.1 200")
    await_idle(s.site)


def test_a_connection_that_was_kept_to_a_container_that_is_gone_costs_nobody() -> None:
    url = f"{url_of(s.site)}/"
    pids = set[int]()
    for _ in range(3):
        reply = ask(url)
        assert reply.status == 200
        pid = int(reply.body.split(b'"pid": ')[1].split(b",")[0])
        pids.add(pid)
        os.kill(pid, signal.SIGKILL)
        await_that(lambda: s.site.get_current_stats().num_total_runners == 0, "it still counts")
    assert len(pids) == 3
