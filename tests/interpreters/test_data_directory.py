"""One server at a time has a data directory; what a killed one left there is no obstacle."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swell.config import Settings
from swell.discovery import announced, announcement_path, data_dir, socket_path
from swell.errors import ConflictError, InvalidError
from swell.private_files import connect_socket
from swell.run_directory import claim_run_dir, new_run_dir, remove_run_dir
from swell.server.data_directory import DataDirectory, holder

ANOTHER = """
import sys
from pathlib import Path
from swell.private_files import connect_socket
from swell.server.data_directory import DataDirectory
directory = DataDirectory(Path(sys.argv[1]))
directory.acquire()
listener = directory.listen()
directory.announce("unix:/other")
print("here", flush=True)
sys.stdin.read()
directory.release()
"""


@contextmanager
def another(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Have another process be the server of a directory."""
    command = [sys.executable, "-c", ANOTHER, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def data_directory(tmp_path: Path) -> Iterator[DataDirectory]:
    found = DataDirectory(tmp_path / "data")
    yield found
    found.release()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def can_connect(path: Path) -> bool:
    try:
        connect_socket(path).close()
    except OSError:
        return False
    return True


# ---------------------------------------------------------------- one server


def test_what_a_server_has_is_for_its_user_alone(data_directory: DataDirectory) -> None:
    data_directory.acquire()
    with data_directory.listen():
        data_directory.announce("unix:/here")
        directory = data_directory.path
        assert mode(directory) == 0o700
        assert [mode(path) for path in sorted(directory.iterdir())] == [0o600] * 3
        assert can_connect(data_directory.socket_path)


def test_a_server_says_where_it_listens_and_takes_that_back(data_directory: DataDirectory) -> None:
    data_directory.acquire()
    directory = str(data_directory.path)
    assert announced(directory) is None
    with data_directory.listen():
        data_directory.announce("unix:/here")
        said = announced(directory)
        assert said is not None
        assert (said.address, said.pid, said.run_dir) == ("unix:/here", os.getpid(), str(data_directory.run_dir))
        data_directory.release()
    assert announced(directory) is None
    assert not data_directory.socket_path.exists()
    assert not data_directory.run_dir.exists()
    data_directory.release()


def test_the_directory_can_be_taken_again(data_directory: DataDirectory) -> None:
    data_directory.acquire()
    data_directory.release()
    data_directory.acquire()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_directory_that_cannot_be_made_is_named_with_the_setting(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidError, match=r"cannot write to the data directory .*; SWELL_DATA_DIR names another"):
        DataDirectory(tmp_path / place).acquire()


# ---------------------------------------------------------------- and another


def test_a_second_server_is_refused_and_leaves_the_first_alone(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with another(tmp_path) as other:
        assert holder(tmp_path) == other.pid
        data_directory = DataDirectory(tmp_path)
        with pytest.raises(
            ConflictError, match=rf"a server \(pid {other.pid}\) has the data directory .* `swell stop`"
        ):
            data_directory.acquire()
        data_directory.release()
        said = announced(str(tmp_path))
        assert said is not None
        assert said.pid == other.pid
        assert can_connect(Path(socket_path(str(tmp_path))))
        other.communicate("")
        assert holder(tmp_path) is None
        assert announced(str(tmp_path)) is None


def test_a_pipe_in_place_of_the_lock_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "server.lock")
    assert holder(tmp_path) is None


def test_what_a_killed_server_left_is_no_obstacle(data_directory: DataDirectory) -> None:
    with another(data_directory.path) as other:
        left = announced(str(data_directory.path))
        assert left is not None
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert Path(left.run_dir).exists()
    assert data_directory.socket_path.exists()
    assert holder(data_directory.path) is None
    data_directory.acquire()
    assert not Path(left.run_dir).exists()
    with data_directory.listen():
        assert can_connect(data_directory.socket_path)


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b'{"address": 3}', b"\xff"])
def test_an_announcement_that_cannot_be_read_is_none(data_directory: DataDirectory, garbage: bytes) -> None:
    data_directory.path.mkdir()
    Path(announcement_path(str(data_directory.path))).write_bytes(garbage)
    assert announced(str(data_directory.path)) is None
    data_directory.acquire()


def test_a_planted_announcement_has_nothing_removed_but_the_directory_of_a_server(tmp_path: Path) -> None:
    data_directory = DataDirectory(tmp_path / "data")
    precious = [tmp_path / "photos", tmp_path / f"swell-{os.getuid()}-notes"]
    for folder in precious:
        folder.mkdir()
    link = tmp_path / f"swell-{os.getuid()}-{'0' * 16}"
    link.symlink_to(precious[0])
    for path in (*precious, link, tmp_path / "photos\0"):
        data_directory.acquire()
        shutil.rmtree(data_directory.run_dir)
        data_directory.run_dir = path
        data_directory.announce("unix:/here")
        killed(data_directory)
        data_directory = DataDirectory(data_directory.path)
        data_directory.acquire()
        assert all(folder.exists() for folder in precious)
        killed(data_directory)
        shutil.rmtree(data_directory.run_dir)


def killed(data_directory: DataDirectory) -> None:
    """Let the kernel have back what it has of a server that is killed."""
    os.close(data_directory._lock)
    os.close(data_directory._mark)


def test_a_server_on_a_copy_leaves_the_run_directory_of_the_original(tmp_path: Path) -> None:
    original = tmp_path / "data"
    with another(original):
        said = announced(str(original))
        assert said is not None
        shutil.copytree(original, tmp_path / "copy", ignore=shutil.ignore_patterns("*.sock"))
        copy = DataDirectory(tmp_path / "copy")
        copy.acquire()
        copy.release()
        assert Path(said.run_dir).exists()
    shutil.rmtree(said.run_dir)  # its server was killed, and nobody starts it again


def test_a_run_directory_is_removed_by_its_owner_when_nobody_lives_in_it() -> None:
    path = new_run_dir()
    mark = claim_run_dir(path, "me")
    remove_run_dir(path, "me")
    assert os.path.exists(path)
    os.close(mark)
    remove_run_dir(path, "somebody else")
    assert os.path.exists(path)
    remove_run_dir(path, "me")
    assert not os.path.exists(path)


# ---------------------------------------------------------------- places


@pytest.mark.parametrize("name", ["short", "long" * 60])
def test_the_socket_is_in_the_directory_however_long_its_path_is(tmp_path: Path, name: str) -> None:
    data_directory = DataDirectory(tmp_path / name)
    assert data_directory.socket_path == tmp_path / name / "server.sock"
    data_directory.acquire()
    with data_directory.listen():
        assert can_connect(data_directory.socket_path)
        assert mode(data_directory.socket_path) == 0o600
    data_directory.release()
    assert not data_directory.socket_path.exists()


def test_the_data_directory_is_where_it_is_set_or_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/homes/me")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert data_dir(Settings()) == "/homes/me/.local/share/swell"
    monkeypatch.setenv("XDG_DATA_HOME", "/xdg")
    assert data_dir(Settings()) == "/xdg/swell"
    assert data_dir(Settings(data_dir="~/mine")) == "/homes/me/mine"
    monkeypatch.chdir("/tmp")
    assert data_dir(Settings(data_dir="mine")) == "/tmp/mine"


def test_every_server_has_a_private_directory_of_its_own() -> None:
    assert new_run_dir() != new_run_dir()
    assert str(os.getuid()) in new_run_dir()
