"""The broker's process as its server sees it: one that is of no use is killed, and followed by another."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from swell.backends.ray.broker_process import BrokerProcess
from swell.backends.ray.messages import Begin, Connected, ToServer

BEGIN = Begin("auto", "ns", "ray-1-", "", False)
Make = Callable[[str], "Owner"]


class Owner:
    """A server with a broker that behaves in a certain way."""

    def __init__(self, how: str, ended: Path) -> None:
        self.ended = ended
        self.pids: asyncio.Queue[int] = asyncio.Queue()
        self.reasons: asyncio.Queue[str] = asyncio.Queue()
        command = (sys.executable, str(Path(__file__).parent / "broker_stand_in.py"), how, str(ended))
        self.process = BrokerProcess(BEGIN, self._received, self.reasons.put_nowait, beat_s=0.1, command=command)
        self.process.start()

    def _received(self, message: ToServer) -> None:
        if isinstance(message, Connected):
            self.pids.put_nowait(int(message.host))


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    owners: list[Owner] = []

    def make(how: str) -> Owner:
        owners.append(Owner(how, tmp_path / "ended"))
        return owners[-1]

    yield make
    for owner in owners:
        await owner.process.stop()


async def test_a_frozen_broker_is_killed_before_another_is_started_and_has_ended_nothing(make: Make) -> None:
    owner = make("answers")
    pid = await owner.pids.get()
    os.kill(pid, signal.SIGSTOP)
    assert await owner.reasons.get() == "its broker has not answered for 1 s, and is started again"
    assert not psutil.pid_exists(pid)
    assert await owner.pids.get() != pid
    assert not owner.ended.exists(), "it would have ended the agents"


async def test_the_end_of_the_socket_is_the_end_of_the_server_to_a_broker(make: Make) -> None:
    owner = make("answers")
    pid = await owner.pids.get()
    await owner.process.stop()
    assert str(pid) in owner.ended.read_text().split()


async def test_a_broker_that_is_not_understood_is_killed(make: Make) -> None:
    owner = make("babbles")
    pid = await owner.pids.get()
    assert "its broker is not understood: a frame of 4,294,967,295 bytes" in await owner.reasons.get()
    assert not psutil.pid_exists(pid)


async def test_a_broker_that_waits_for_ray_for_longer_than_ray_would_is_killed(make: Make) -> None:
    owner = make("waits")
    pid = await owner.pids.get()
    assert await owner.reasons.get() == "its broker has waited for Ray for 120 s, and is started again"
    assert not psutil.pid_exists(pid)
