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
from swell.server.control_plane import ControlPlane
from swell.server.paths import ServerPaths
from swell.store.memory.store import MemoryStore

class NoBackend:
    is_local = True
    async def start(self, listener, address): pass
    def observe(self, is_ready): return []
    def trouble(self): return ""
    def awaits_nodes(self): return False
    def deleted(self, name): pass
    def refused(self): return []

async def main():
    paths = ServerPaths("unix:/x", Path(sys.argv[1]))
    paths.make()
    store = MemoryStore(asyncio.get_running_loop().call_soon)
    plane = ControlPlane(settings=Settings(), backend=NoBackend(), store=store, paths=paths, seed="")
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


def run(tmp_path: Path, program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, str(tmp_path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


QUESTIONS = """
from swell.wire import queries as q
from swell.engine.views.explain import Explainer

"""

ONE_QUESTION = (
    PROGRAM.partition("    plane.engine.handle = fail")[0].replace("def fail(event, now)", "def fail(*_)")
    + """
    class Client:
        role, name, number, is_lagging = "client", "", 1, False
        heard = []
        def send(self, message, payload=b""): self.heard.append(message)
        def send_latest(self, key, message): self.heard.append(message)
        def abort(self, error): self.heard.append(error)
    client = Client()
    plane._clients[1] = client
"""
)


def test_a_defect_in_an_answer_is_the_answer_and_the_server_goes_on(tmp_path: Path) -> None:
    program = (
        ONE_QUESTION.replace("async def main():", QUESTIONS + "async def main():")
        + """
    plane.engine.snapshot.apps = fail
    Explainer.tell = fail
    for number in range(1, 51):
        plane.received(client, q.GetStatus(number), b"")
        plane.received(client, q.AskStory(number, "in-1:0"), b"")
    assert [message.code for message in client.heard] == ["internal"] * 100, client.heard
    assert {message.request for message in client.heard} == set(range(1, 51))
    print("still there")

logging.basicConfig()
asyncio.run(main())
"""
    )
    ended = run(tmp_path, program)
    assert ended.returncode == 0, ended.stderr
    assert "still there" in ended.stdout
    assert ended.stderr.count("Traceback") == 1, "the one place has one, however often it is met"
    assert len(ended.stderr.splitlines()) < 100


def test_an_effect_that_fails_costs_the_one_it_was_for(tmp_path: Path) -> None:
    program = (
        ONE_QUESTION.replace("async def main():", QUESTIONS + "async def main():")
        + """
    from swell.engine import events as e
    from swell.wire.messages import Done, Failed
    plane._gate.carry_out([e.SendToClient(1, Failed(1, "x", "y", {"no": object()})), e.SendToClient(1, Done(2))])
    assert client.heard[-1] == Done(2), client.heard
    client.send = fail
    plane._gate.carry_out([e.SendToClient(1, Done(3))])
    assert "could not be sent" in str(client.heard[-1]), client.heard
    print("still there")

logging.basicConfig()
asyncio.run(main())
"""
    )
    ended = run(tmp_path, program)
    assert ended.returncode == 0, ended.stderr
    assert "still there" in ended.stdout
    assert "a defect while carrying out SendToClient" in ended.stderr
