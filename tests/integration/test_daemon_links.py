"""Connections and the daemon: programs go on with the next server, and nothing stays of who has gone."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from patience import patience, wait_until

from swell.model import Environment
from swell.wire import bundle, codec
from swell.wire.messages import PROTOCOL, Hello, OpenApp

CODE = """
import swell

app = swell.App("linked")

@app.function()
def size(x):
    return len(x)
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A server with CODE deployed."""
    place = Daemon(tmp_path)
    try:
        place.told("start")
        place.deploy(CODE)
        yield place
    finally:
        place.end()


@pytest.mark.parametrize("how", ["size.remote(large)", "size.spawn(large).get()"])
def test_the_first_call_after_a_restart_goes_to_the_next_server(daemon: Daemon, how: str) -> None:
    program = f"""
size = swell.Function.from_name("linked", "size")
large = b"x" * 1_000_000
print({how}, flush=True)
input()
print({how})
"""
    with daemon.begin(program) as calling:
        assert calling.stdin is not None
        assert calling.stdout is not None
        assert calling.stdout.readline() == "1000000\n"
        daemon.restart_killed()
        out, errors = calling.communicate("\n", timeout=patience(50.0))
    assert out == "1000000\n", errors


def test_an_app_whose_client_goes_while_its_files_are_laid_out_is_not_left_behind(daemon: Daemon) -> None:
    digest, archive = bundle.pack({f"{number}.py": b"" for number in range(3_000)})
    environment = Environment("python", str(daemon.folder), (), bundle=digest)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(daemon.data_dir / "server.sock"))
        client.sendall(codec.encode(Hello("client", PROTOCOL, "brief")))
        client.sendall(codec.encode(OpenApp(1, "ap-brief", "brief", environment, []), archive))
    bundles = Path(json.loads((daemon.data_dir / "server.json").read_text())["run_dir"]) / "bundles"
    wait_until(lambda: any(bundles.iterdir()), "no file is laid out", pause_s=0.001)  # so many take longer
    daemon.eventually(lambda: not any(bundles.iterdir()))
    assert daemon.status()["apps"] == 1
