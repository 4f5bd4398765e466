"""A server whose engine fails does not go on as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, logging
from pathlib import Path
from swell.config import Settings
from swell.engine.events import ClientGone
from swell.server.controlplane import ControlPlane
from swell.store.memory import MemoryStore

class NoBackend:
    async def start(self, listener, address): pass
    def observe(self): return []

async def main():
    plane = ControlPlane(
        settings=Settings(),
        backend=NoBackend(),
        store=MemoryStore(),
        address="unix:/x",
        blob_dir=Path("/tmp"),
        web_dir=Path("/tmp"),
        seed="",
    )
    await plane.start()
    def fail(event, now): raise KeyError("lost")
    plane.engine.handle = fail
    class Gone: role = "client"; name = ""; number = 1
    plane.disconnected(Gone())
    print("still there")

logging.basicConfig()
asyncio.run(main())
"""


def test_a_defect_ends_the_server_and_says_so() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 70
    assert "still there" not in ended.stdout
    assert "a defect in the server" in ended.stderr
    assert "KeyError: 'lost'" in ended.stderr
