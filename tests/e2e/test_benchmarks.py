"""The benchmark command measures and reports; what it measures is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def bench(repository: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(repository)
    monkeypatch.setenv("PYTHONPATH", str(repository))
    return [sys.executable, "-m", "benchmarks"]


def test_a_case_puts_swell_beside_the_standard_library(bench: list[str], repository: Path) -> None:
    done = subprocess.run([*bench, "round-trip", "--quick", "--json"], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    (case,) = result["cases"]
    assert {"swell", "ProcessPoolExecutor"} <= case["contestants"].keys(), done.stderr
    assert all(one["value"] > 0 for one in case["contestants"].values())
    assert isinstance(case["meets_target"], bool)


def test_an_unknown_case_is_refused_with_the_known_ones(bench: list[str]) -> None:
    done = subprocess.run([*bench, "speed"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'speed'" in done.stderr
    assert "round-trip" in done.stderr
