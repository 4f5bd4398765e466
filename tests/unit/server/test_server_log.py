"""The log of a server in the background stays within its bound, whoever writes to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from swell.server.server_log import ServerLog, log_path, older_path

FULL = 100


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    opened = os.open(log_path(tmp_path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    yield opened
    os.close(opened)


def test_a_log_that_is_not_full_is_left_as_it_is(tmp_path: Path, fd: int) -> None:
    os.write(fd, b"x" * FULL)
    assert not ServerLog(tmp_path, FULL, fd).rotate_if_full()
    assert not older_path(tmp_path).exists()


def test_a_full_one_is_put_aside_and_all_go_on_at_its_new_end(tmp_path: Path, fd: int) -> None:
    inherited = os.dup(fd)  # as the edge has it
    server_log = ServerLog(tmp_path, FULL, fd)
    os.write(fd, b"first " + b"x" * FULL)
    assert server_log.rotate_if_full()
    os.write(inherited, b"edge\n")
    os.write(fd, b"server\n")
    os.close(inherited)
    assert log_path(tmp_path).read_bytes() == b"edge\nserver\n"
    assert older_path(tmp_path).read_bytes() == b"first " + b"x" * FULL
    os.write(fd, b"second " + b"y" * FULL)
    assert server_log.rotate_if_full()
    assert older_path(tmp_path).read_bytes() == b"edge\nserver\nsecond " + b"y" * FULL
    assert log_path(tmp_path).stat().st_size == 0
    assert older_path(tmp_path).stat().st_mode & 0o777 == 0o600


def test_what_is_written_elsewhere_is_not_touched(tmp_path: Path, fd: int) -> None:
    os.write(fd, b"x" * 2 * FULL)
    other = os.open(tmp_path / "terminal", os.O_WRONLY | os.O_CREAT)
    assert not ServerLog(tmp_path, FULL, other).rotate_if_full()
    os.close(other)
    assert not ServerLog(tmp_path, FULL, other).rotate_if_full(), "stderr is closed"
    assert log_path(tmp_path).stat().st_size == 2 * FULL
