"""Which server a program talks to: the one that is set, or the daemon, if it runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from swell.config import Settings
from swell.discovery import Announcement, announcement_path, socket_path
from swell.errors import ConnectionError, ExecutionError
from swell.sdk.connection.client import Client, client_from_settings, daemon_address, daemon_client


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory that the settings lead to, without a server."""
    monkeypatch.setenv("SWELL_DATA_DIR", str(tmp_path))
    return tmp_path


@contextmanager
def server(directory: Path, *, is_announced: bool = True) -> Iterator[str]:
    """Have something listen where the server of a data directory does."""
    path = socket_path(str(directory))
    if is_announced:
        received = Announcement("unix:/once", os.getpid(), 1.0, "0", "/run")
        Path(announcement_path(str(directory))).write_bytes(msgspec.json.encode(received))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        yield f"unix:{path}"


def test_the_server_that_is_set_is_meant_whatever_else_there_is(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWELL_SERVER", "unix:/elsewhere")
    with server(data_dir):
        assert daemon_client().address == client_from_settings().address == "unix:/elsewhere"


@pytest.mark.parametrize("setting", [None, "", "private"])
def test_without_one_the_server_that_stays_is_meant(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, setting: str | None
) -> None:
    if setting is not None:
        monkeypatch.setenv("SWELL_SERVER", setting)
    with server(data_dir) as address:
        assert daemon_client().address == address
        assert daemon_client().stays


def test_a_server_that_is_set_does_not_count_as_one_that_comes_back(data_dir: Path) -> None:
    assert not Client("unix:/elsewhere", settings=Settings(data_dir=str(data_dir))).stays
    own = f"unix:{socket_path(str(data_dir))}"
    assert Client(own, settings=Settings(data_dir=str(data_dir))).stays


def test_without_any_it_is_said_how_to_have_one(data_dir: Path) -> None:
    why = rf"no server that stays runs on the data directory {data_dir}: `swell start` starts one"
    with pytest.raises(ConnectionError, match=why):
        daemon_client()
    with pytest.raises(ExecutionError, match=rf"inside `with app\.run\(\):`, or set SWELL_SERVER; {why}"):
        client_from_settings()


def test_a_server_that_was_killed_is_none(data_dir: Path) -> None:
    with server(data_dir):
        pass
    assert daemon_address(Settings(data_dir=str(data_dir))) == ""
    with pytest.raises(ConnectionError):
        daemon_client()


def test_what_was_never_announced_is_no_server(data_dir: Path) -> None:
    with server(data_dir, is_announced=False):
        assert daemon_address(Settings(data_dir=str(data_dir))) == ""


def test_a_server_that_was_missed_is_found_when_it_is_there(data_dir: Path) -> None:
    with pytest.raises(ConnectionError):
        daemon_client()
    with server(data_dir) as address:
        assert daemon_client().address == address


def test_a_client_is_made_once_and_anew_when_the_settings_lead_elsewhere(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWELL_SERVER", "unix:/one")
    first = daemon_client()
    assert daemon_client() is first
    monkeypatch.setenv("SWELL_SERVER", "unix:/two")
    assert daemon_client().address == "unix:/two"
    monkeypatch.setenv("SWELL_TOKEN", "secret")
    assert daemon_client() is not first


def test_a_forked_child_has_a_client_of_its_own(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWELL_SERVER", "unix:/one")
    parents = daemon_client()
    monkeypatch.setattr("swell.sdk.connection.client.os.getpid", lambda: -1)
    assert daemon_client() is not parents
