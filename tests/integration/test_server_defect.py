"""A server whose engine fails does not go on as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from patience import patience

PROGRAM = """
import asyncio, logging, sys
from pathlib import Path
from swell.config import Settings
from swell.engine.events import ClientGone
from swell.server.controlplane import ControlPlane
from swell.server.places import Places
from swell.store.memory import MemoryStore

class NoBackend:
    async def start(self, listener, address): pass
    def observe(self): return []

async def main():
    places = Places("unix:/x", Path(sys.argv[1]))
    places.make()
    store = MemoryStore(asyncio.get_running_loop().call_soon)
    plane = ControlPlane(settings=Settings(), backend=NoBackend(), store=store, places=places, seed="")
    await plane.start()
    def fail(event, now): raise KeyError("lost")
    plane.engine.handle = fail
    class Gone: role = "client"; name = ""; number = 1
    plane.disconnected(Gone())
    print("still there")

logging.basicConfig()
asyncio.run(main())
"""


def test_a_defect_ends_the_server_and_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=patience(60.0), check=False)
    assert ended.returncode == 70
    assert "still there" not in ended.stdout
    assert "a defect in the server" in ended.stderr
    assert "KeyError: 'lost'" in ended.stderr
