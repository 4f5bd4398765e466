"""Direct calls whose server, or whose program, is killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import direct_app as d
import pytest
from patience import patience, wait_until

from swell.exception import ConnectionError
from swell.sdk.connection.private_server import PrivateServer

PROGRAM = """
import direct_app as d
with d.app.run():
    act = d.Alone().act
    for x in range(300):
        act.remote("", x)
    act.remote("hang", "it")
"""


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A board without an App."""
    import board

    monkeypatch.setenv("BOARD", str(tmp_path))
    monkeypatch.setenv("SWELL_CALL_LEASES", "1")
    return board


def test_a_call_whose_server_is_killed_ends_with_an_error(noted: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWELL_SERVER", "private")
    with pytest.raises(ConnectionError), d.app.run():
        act = d.Alone(key="server").act
        for x in range(300):
            act.remote("", x)
        server = PrivateServer._current
        assert server is not None and server._process is not None
        pid = server._process.pid

        def strike() -> None:
            noted.wait_for_note("hangs 1")
            os.kill(pid, signal.SIGKILL)

        thread = threading.Thread(target=strike)
        thread.start()
        try:
            act.remote("hang", 1)
        finally:
            thread.join()


def test_what_a_killed_program_has_called_ends_with_it(noted: ModuleType) -> None:
    path = os.pathsep.join([str(Path(d.__file__).parent), str(Path(d.__file__).parents[2]), *sys.path])
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": path, "SWELL_SERVER": "private"},
    )
    try:
        noted.wait_for_note("hangs it")
        container = int(noted.notes("ran")[-1].split()[-1])
        program.send_signal(signal.SIGKILL)
        program.wait(patience(60.0))
        wait_until(lambda: not Path(f"/proc/{container}").exists(), "its container goes on")
    finally:
        program.kill()
        program.wait()
