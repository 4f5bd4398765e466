"""The SDK as a type checker sees it: good programs pass with the right types, and wrong calls are errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SNIPPETS = Path(__file__).parent / "snippets"


@pytest.fixture(scope="module")
def diagnostics() -> list[dict[str, Any]]:
    """Return what the type checker has against the snippets."""
    pytest.importorskip("basedpyright", reason="the type checker is not installed")
    checker = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run([*checker, "-p", str(SNIPPETS)], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["generalDiagnostics"]


def told(diagnostics: list[dict[str, Any]], name: str) -> dict[int, str]:
    """Return the errors in a file by line number."""
    return {
        found["range"]["start"]["line"] + 1: f"{found['message']} [{found.get('rule')}]"
        for found in diagnostics
        if Path(found["file"]).name == name and found["severity"] == "error"
    }


@pytest.mark.timeout(120)
def test_good_programs_have_the_types_they_assert(diagnostics: list[dict[str, Any]]) -> None:
    assert told(diagnostics, "good.py") == {}


@pytest.mark.timeout(120)
def test_wrong_calls_are_errors_and_nothing_else_is(diagnostics: list[dict[str, Any]]) -> None:
    lines = (SNIPPETS / "bad.py").read_text().splitlines()
    expected = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    expected.add(lines.index("@app.function") + 1)
    found = told(diagnostics, "bad.py")
    assert {number: lines[number - 1] for number in expected - found.keys()} == {}, "these should be errors"
    assert {number: (lines[number - 1], found[number]) for number in found.keys() - expected} == {}
