"""What is made is private whatever the umask is, and what is there is not trusted because it is there."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swell.discovery import Announcement, announced, announcement_path
from swell.errors import ConnectionError, DeserializationError, InvalidError, SerializationError
from swell.ports import StoreBroken
from swell.private_files import (
    bind_socket,
    check_directory,
    check_entry,
    connect_socket,
    make_directory,
    new_directory,
    open_file,
    read_file,
    replace_file,
)
from swell.server.container_logs import ContainerLogs, LogChunk, LogFilter
from swell.server.data_directory import DataDirectory
from swell.server.paths import ServerPaths
from swell.store.sqlite.database import Database
from swell.wire import blobs
from swell.wire.shelf import Shelf

NOBODY = 65_534  #: a user whom nobody is


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def disown(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Have a path belong to another user."""

    def to_nobody(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        else:  # who is not root cannot give anything away: be another user than the owner
            monkeypatch.setattr("swell.private_files.os.geteuid", lambda: NOBODY)

    return to_nobody


# ---------------------------------------------------------------- what is made


def test_directories_are_private_and_so_are_their_parents(tmp_path: Path, umask: int) -> None:
    made = tmp_path / "one" / "two" / "three"
    make_directory(made)
    assert [mode(path) for path in (made, made.parent, made.parent.parent)] == [0o700] * 3
    make_directory(made)
    with pytest.raises(FileExistsError):
        new_directory(made)


def test_files_are_private(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "file"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert read_file(path, is_secret=True) == b"two"
    assert [child.name for child in tmp_path.iterdir()] == ["file"]
    os.close(open_file(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    assert mode(path) & 0o077 == mode(tmp_path / "log") & 0o077 == 0


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file~").symlink_to(tmp_path / "elsewhere")
    replace_file(tmp_path / "file", b"one")
    assert [child.name for child in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("folder", ["short", "long" * 50])
def test_sockets_are_private_before_they_have_a_name(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "server.sock"
    make_directory(path.parent)
    before = os.umask(0)
    try:
        with bind_socket(path) as bound:
            assert mode(path) == 0o600
            bound.listen()
            connect_socket(path).close()
    finally:
        os.umask(before)


# ---------------------------------------------------------------- what is there


@pytest.mark.parametrize("bits", [0o770, 0o707, 0o777, 0o720])
def test_a_directory_that_others_may_write_to_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, bits: int
) -> None:
    tmp_path.chmod(bits)
    with pytest.raises(InvalidError, match=rf"others may write to {tmp_path}, .* mode {bits:04o}: .* chmod 700"):
        check_directory(tmp_path)
    with pytest.raises(InvalidError):
        make_directory(tmp_path)
    tmp_path.chmod(0o755)
    check_directory(tmp_path)


def test_a_directory_of_another_user_is_refused(tmp_path: Path, disown: Callable[[Path], None]) -> None:
    path = tmp_path / "data"
    path.mkdir(0o700)
    disown(path)
    with pytest.raises(InvalidError, match=rf"{path} belongs to user \d+, and this is user \d+: .* chown \d+ {path}"):
        make_directory(path)


def test_anybody_may_replace_what_is_in_a_directory_without_the_sticky_bit(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "data")
    (tmp_path / "a").chmod(0o1777)
    check_directory(tmp_path / "a" / "data")
    (tmp_path / "a").chmod(0o777)
    with pytest.raises(InvalidError, match=rf"anybody may replace what is in {tmp_path / 'a'}, .*; chmod o-w"):
        check_directory(tmp_path / "a" / "data")


def test_a_data_directory_may_be_elsewhere_if_its_user_says_so(tmp_path: Path, disown: Callable[[Path], None]) -> None:
    (tmp_path / "disk").mkdir(0o700)
    (tmp_path / "data").symlink_to("disk")
    make_directory(tmp_path / "data")
    disown(tmp_path / "data")
    with pytest.raises(InvalidError, match=r"is a symbolic link of user \d+|belongs to user \d+"):
        check_directory(tmp_path / "data")


def open_or_make(path: Path) -> None:
    os.close(open_file(path, os.O_RDWR | os.O_CREAT))


@pytest.mark.parametrize("act", [read_file, open_or_make, check_entry])
def test_no_link_is_followed(tmp_path: Path, act: Callable[[Path], object]) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "link").symlink_to("victim")
    with pytest.raises(InvalidError, match=rf"{tmp_path / 'link'} is a symbolic link, which is not followed here"):
        act(tmp_path / "link")
    (tmp_path / "dangling").symlink_to("new")
    with pytest.raises(InvalidError, match="is a symbolic link"):
        act(tmp_path / "dangling")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("act", [read_file, check_entry])
def test_a_planted_file_is_not_read(
    tmp_path: Path, disown: Callable[[Path], None], act: Callable[[Path], object]
) -> None:
    path = tmp_path / "admin.token"
    replace_file(path, b"known to me")
    path.chmod(0o620)
    with pytest.raises(InvalidError, match=rf"others may write to {path}, which has mode 0620: .* chmod 600"):
        act(path)
    path.chmod(0o600)
    act(path)
    disown(path)
    with pytest.raises(InvalidError, match="belongs to user"):
        act(path)


def test_a_secret_that_others_may_read_is_none(tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    replace_file(path, b"secret")
    path.chmod(0o644)
    with pytest.raises(InvalidError, match=rf"others may read or write {path}, which has mode 0644: .* chmod 600"):
        read_file(path, is_secret=True)


def test_what_an_older_version_made_readable_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "ap-1.jsonl"
    path.write_text("x")
    path.chmod(0o644)
    assert read_file(path) == b"x"
    assert mode(path) == 0o600


def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(InvalidError, match="is no file"):
        read_file(tmp_path / "pipe")


# ---------------------------------------------------------------- who listens

LISTEN = """
import os, socket, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("here", flush=True)
    sys.stdin.read()
"""


def test_nothing_is_told_to_a_server_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.sock"
    if os.geteuid() != 0:
        with bind_socket(path) as own:
            own.listen()
            monkeypatch.setattr("swell.private_files.os.geteuid", lambda: NOBODY)
            with pytest.raises(ConnectionError, match="belongs to user"):
                connect_socket(path)
        return
    tmp_path.chmod(0o777)
    os.chown(tmp_path, NOBODY, NOBODY)
    reached = f"/proc/self/fd/{os.open(tmp_path, os.O_PATH)}/server.sock"  # above it, nobody may pass
    fd = int(reached.split("/")[4])
    command = [sys.executable, "-c", LISTEN, reached, str(NOBODY)]
    try:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[fd]
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
            with pytest.raises(ConnectionError, match=rf"{path} belongs to user {NOBODY}, and this is user 0"):
                connect_socket(path)
            process.communicate("")
    finally:
        os.close(fd)


def test_a_server_that_is_announced_by_others_is_refused(tmp_path: Path) -> None:
    import msgspec

    said = Announcement("unix:/evil", 1, 1.0, "0", "/run")
    replace_file(announcement_path(str(tmp_path)), msgspec.json.encode(said))
    assert announced(str(tmp_path)) == said
    tmp_path.chmod(0o777)
    with pytest.raises(InvalidError, match="others may write to"):
        announced(str(tmp_path))
    tmp_path.chmod(0o700)
    Path(announcement_path(str(tmp_path))).chmod(0o666)
    with pytest.raises(InvalidError, match="others may write to"):
        announced(str(tmp_path))


# ---------------------------------------------------------------- what a server finds


def enter(data_dir: Path) -> None:
    data_directory = DataDirectory(data_dir)
    try:
        data_directory.acquire()
        paths = ServerPaths("unix:/here", data_directory.run_dir, data_dir)
        paths.make()
        Database(str(data_dir / "swell.db")).close()
    finally:
        data_directory.release()


@pytest.mark.parametrize("name", ["server.lock", "server.json", "swell.db", "swell.db-wal", "admin.token"])
@pytest.mark.parametrize("how", ["link", "writable", "foreign"])
def test_a_server_refuses_what_was_planted(tmp_path: Path, disown: Callable[[Path], None], name: str, how: str) -> None:
    data_dir = tmp_path / "data"
    enter(data_dir)
    planted = data_dir / name
    planted.unlink(missing_ok=True)
    if how == "link":
        (tmp_path / "victim").write_text("precious")
        planted.symlink_to("../victim")
    else:
        planted.write_text("")
        planted.chmod(0o622 if how == "writable" else 0o600)
        if how == "foreign":
            disown(planted)
    with pytest.raises((InvalidError, StoreBroken), match=r"symbolic link|others may|belongs to user"):
        enter(data_dir)
    if how == "link":
        assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("name", ["blobs", "bundles", "logs"])
def test_a_server_refuses_directories_that_lead_elsewhere_or_are_open(tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / "data"
    enter(data_dir)
    (data_dir / name).chmod(0o777)
    with pytest.raises(InvalidError, match="others may write to"):
        enter(data_dir)
    (data_dir / name).rmdir()
    (tmp_path / "elsewhere").mkdir(0o700)
    (data_dir / name).symlink_to("../elsewhere")
    with pytest.raises(InvalidError, match="is a symbolic link"):
        enter(data_dir)


def test_a_server_accepts_a_directory_that_others_may_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(0o755)
    enter(tmp_path / "data")
    assert mode(tmp_path / "data") == 0o755


def test_a_listening_socket_is_replaced_not_joined(tmp_path: Path) -> None:
    data_directory = DataDirectory(tmp_path / "data")
    data_directory.acquire()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as former:
        former.bind(str(data_directory.socket_path))
        data_directory.socket_path.chmod(0o777)
        with data_directory.listen():
            assert mode(data_directory.socket_path) == 0o600
    data_directory.release()


def test_no_link_in_the_place_of_a_blob_is_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "in-1").symlink_to("victim")
    with pytest.raises(DeserializationError, match="cannot read blob in-1"):
        blobs.unpack(b"in-1", Shelf(str(tmp_path)))
    assert not blobs.starts_with(b"", b"in-1", Shelf(str(tmp_path)))
    draft = tmp_path / f"~in-2.{os.getpid()}.{threading.get_ident()}"
    draft.symlink_to("victim")
    with pytest.raises(SerializationError, match="cannot store"):
        blobs.store([memoryview(b"x")], Shelf(str(tmp_path)), "in-2")
    blobs.store([memoryview(pickle.dumps("new"))], Shelf(str(tmp_path)), "in-1")
    assert blobs.unpack(b"in-1", Shelf(str(tmp_path))) == "new", "the link was replaced"
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_no_link_in_the_place_of_a_log_is_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "logs").mkdir(0o700)
    (tmp_path / "logs" / "ap-1.jsonl").symlink_to("../victim")
    logs = ContainerLogs(tmp_path / "logs", bytes_max=1 << 20, keep_s=1e9)
    for app_id in ("ap-1", "ap-1", "ap-2"):
        logs.write(LogChunk(at=1.0, app_id=app_id, function="f", container_id="ta-1", stream="stdout", text="hello\n"))
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert caplog.text.count("is a symbolic link") == 1, "it is said once, and the server goes on"
    assert mode(tmp_path / "logs" / "ap-2.jsonl") == 0o600
    with pytest.raises(InvalidError, match="is a symbolic link"):
        asyncio.run(_read(logs, "ap-1"))
    logs.close()


async def _read(logs: ContainerLogs, app_id: str) -> list[LogChunk]:
    return [entry async for piece in logs.read(LogFilter(app_id)) for entry in piece]


def test_a_file_that_is_refused_keeps_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"of somebody")
    path.chmod(0o666)
    with pytest.raises(InvalidError, match="others may write"):
        open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    assert path.read_bytes() == b"of somebody"
    path.chmod(0o600)
    os.close(open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    assert path.read_bytes() == b""
