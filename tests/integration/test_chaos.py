"""`scripts/chaos`, in short: a server and its containers are killed under load, and no accepted input is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WIRES = ("wire cut", "wire deaf", "wire halves")


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("backend", "seed", "kills"),
    [
        ("process", 1, {"containers": 2, "everything": 1, "server": 1}),
        ("agents", 126, dict.fromkeys(("agent", "containers", "frozen agent", "server", *WIRES), 1)),
    ],
)
def test_what_was_accepted_is_done_once_whatever_is_killed(
    repository: Path, backend: str, seed: int, kills: dict[str, int]
) -> None:
    count = str(sum(kills.values()))
    chaos = str(repository / "scripts" / "chaos")
    command = [sys.executable, chaos, "--kills", count, "--seed", str(seed), "--backend", backend, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["kills"] == kills
    assert told["inputs"] >= told["calls"] >= 4
