"""Programs that begin with closed standard streams.

Looked at in processes of their own: this one needs its streams.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from swell.standard_streams import beyond

FILLS = """
import os, sys
from swell.standard_streams import open_closed
open_closed()
kinds = [os.readlink(f"/proc/self/fd/{fd}").partition(":")[0] for fd in range(3)]
print("nobody sees this", file=sys.stdout)
print("nor this \\udcff", file=sys.stderr)
assert sys.stdin.read() == ""
assert all(os.get_inheritable(fd) for fd in range(3))
with open(sys.argv[1], "w") as file:
    file.write("|".join(kinds))
"""
MOVES = """
import os, sys
from swell.standard_streams import beyond, stderr_for_child
ends = [beyond(fd) for fd in os.pipe()]
assert min(ends) > 2, ends
assert not any(os.get_inheritable(fd) for fd in ends)
left = [fd for fd in range(3) if os.path.exists(f"/proc/self/fd/{fd}")]
told = f"{left} {stderr_for_child()}"
with open(sys.argv[1], "w") as file:
    file.write(told)
"""


def run(program: str, redirections: str, out: Path) -> str:
    command = f'exec "{sys.executable}" -c "$PROGRAM" "{out}" {redirections}'
    subprocess.run(["/bin/sh", "-c", command], env={**os.environ, "PROGRAM": program}, check=True)
    return out.read_text()


CLOSED = {"<&-": [0], ">&-": [1], "2>&-": [2], "<&- >&- 2>&-": [0, 1, 2]}


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_ones_are_opened(closed: str, tmp_path: Path) -> None:
    others = "" if 0 in CLOSED[closed] else "</dev/null"  # the program reads it to its end
    kinds = run(FILLS, f"{closed} {others}", tmp_path / "out").split("|")
    assert [kinds[fd] for fd in CLOSED[closed]] == ["/dev/null"] * len(CLOSED[closed])


@pytest.mark.parametrize(("closed", "left"), [("<&-", "[1, 2] None"), (">&-", "[0, 2] None"), ("2>&-", "[0, 1] -3")])
def test_descriptors_get_numbers_beyond_them(closed: str, left: str, tmp_path: Path) -> None:
    assert run(MOVES, closed, tmp_path / "out") == left


def test_a_descriptor_that_is_beyond_them_is_left() -> None:
    read_end, write_end = os.pipe()
    assert (beyond(read_end), beyond(write_end)) == (read_end, write_end)
    os.close(read_end)
    os.close(write_end)
