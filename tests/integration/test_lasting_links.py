"""A program that goes on while one server that stays follows another has its next call answered by the new one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lasting import Lasting

CODE = """
import swell

app = swell.App("linked")

@app.function()
def size(x):
    return len(x)
"""


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[Lasting]:
    """A server with CODE deployed."""
    place = Lasting(tmp_path)
    try:
        place.told("start")
        place.deploy(CODE)
        yield place
    finally:
        place.end()


@pytest.mark.parametrize("how", ["size.remote(large)", "size.spawn(large).get()"])
def test_the_first_call_after_a_restart_goes_to_the_next_server(lasting: Lasting, how: str) -> None:
    program = f"""
size = swell.Function.from_name("linked", "size")
large = b"x" * 1_000_000
print({how}, flush=True)
input()
print({how})
"""
    with lasting.begin(program) as calling:
        assert calling.stdin is not None
        assert calling.stdout is not None
        assert calling.stdout.readline() == "1000000\n"
        lasting.restart_killed()
        out, errors = calling.communicate("\n", timeout=50)
    assert out == "1000000\n", errors
