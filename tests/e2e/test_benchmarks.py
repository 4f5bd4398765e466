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


def test_two_versions_are_measured_in_turns(bench: list[str], repository: Path) -> None:
    if subprocess.run(
        ["git", "-C", repository, "rev-parse", "-q", "HEAD"], capture_output=True, check=False
    ).returncode:
        pytest.skip("this tree has no history to compare with")
    command = [*bench, "round-trip", "--against", "HEAD", "--quick", "--rounds", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (case,) = json.loads(done.stdout)
    assert len(case["former"]["values"]) == len(case["present"]["values"]) == 2, done.stderr
    assert case["better_by"] > 0
    assert done.returncode == case["is_slower"]


@pytest.mark.parametrize(
    ("former", "present", "is_slower"),
    [
        ([100, 101, 99], [80, 81, 79], True),
        ([100, 101, 99], [120, 121, 119], False),
        ([100, 101, 99], [98, 99, 97], False),  # within what is never called a difference
        ([100, 130, 70], [80, 81, 79], False),  # within what the rounds differ
    ],
)
def test_slower_is_what_no_noise_explains(
    former: list[float], present: list[float], is_slower: bool, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(repository)
    from benchmarks.against import Comparison, Series
    from benchmarks.cases import CASES

    assert Comparison(CASES["noop-map"], Series(former), Series(present)).is_slower == is_slower
