"""An agent of another Python is not let in, and whoever waits for its node is told so."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon

#: Python runs it at the start of each process: that of an agent tells another version.
OTHER_PYTHON = """
import platform, sys
if "swell.agent.main" in sys.orig_argv:
    platform.python_version = lambda: "2.7.18"
"""
WAITING = """
app = swell.App("waiting")

@app.function(serialized=True)
def f():
    pass

with app.run():
    f.spawn()
    print("spawned", flush=True)
    input()
"""


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    (tmp_path / "sitecustomize.py").write_text(OTHER_PYTHON)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(":"))
    place = Daemon(tmp_path, backend="agents", agents=1)
    try:
        place.told("start")
        yield place
    finally:
        place.end()


def test_status_and_why_say_which_node_was_refused(daemon: Daemon) -> None:
    def refused() -> Any:
        return daemon.status()["refused_nodes"]

    (node,) = daemon.eventually(refused)
    assert node["name"] == "node-1"
    assert node["reason"].startswith("it has Python 2.7, the server 3.")
    said = f"node node-1 was refused: {node['reason']}"
    assert said in daemon.told("status")
    assert daemon.told("node", "list").splitlines() == ["No nodes", said]
    program = daemon.begin(WAITING)
    assert program.stdout is not None
    program.stdout.readline()
    assert said in daemon.told("why", "waiting.f")
    assert said in json.dumps(json.loads(daemon.told("why", "waiting.f", "--json")))
    daemon.eventually(lambda: daemon.log.count("node node-1 is lost") >= 2)
    assert [node["name"] for node in refused()] == ["node-1"], "the next try is of the same node"
