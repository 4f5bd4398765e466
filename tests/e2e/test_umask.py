"""Under a umask that takes nothing away, all that swell makes is its user's alone; so it is where paths are long."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import PATIENCE_S, SWELL, Place

PROGRAM = """
import os, stat, sys
import swell

app = swell.App("private")

@app.function()
def large(text: str) -> str:
    print("log", flush=True)
    return text * 2

@app.function()
@swell.asgi_app()
def site():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})
    return app

@app.cls(enable_memory_snapshot=True)
class Model:
    @swell.enter(snap=True)
    def load(self):
        self.loaded = True

    @swell.method()
    def run(self) -> bool:
        return self.loaded

@app.function()
def around() -> str:
    return os.path.dirname(os.environ["SWELL_SERVER"].removeprefix("unix:"))

@app.local_entrypoint()
def main():
    assert len(large.remote("x" * 3_000_000)) == 6_000_000
    assert Model().run.remote()
    import urllib.request
    assert urllib.request.urlopen(site.get_web_url()).read() == b"here"
    directory = around.remote()
    for folder, folders, files in os.walk(directory):
        for name in (".", *folders, *files):
            path = os.path.normpath(os.path.join(folder, name))
            print(f"{stat.filemode(os.lstat(path).st_mode)} {path}")
"""

SPAWN = """
calls = [swell.Function.from_name("private", "large").spawn("x" * 3_000_000) for _ in range(2)]
assert len(calls[0].get()) == 6_000_000
assert swell.Cls.from_name("private", "Model")().run.remote()
import urllib.request
url = swell.Function.from_name("private", "site").get_web_url()
assert urllib.request.urlopen(url).read() == b"here"
"""

ALLOWED = {stat.S_IFDIR: {0o700}, stat.S_IFREG: {0o600}, stat.S_IFSOCK: {0o600}, stat.S_IFLNK: {0o777}}


@pytest.fixture
def loose(tmp_path: Path) -> Iterator[Place]:
    """A place whose programs have the umask 000, and a data directory that is not there, deep and with a long path."""
    place = Place(tmp_path, tmp_path / "deep" / ("long" * 40) / "data", web=True)
    before = os.umask(0)
    try:
        (tmp_path / "private.py").write_text(PROGRAM)
        yield place
        place.end()
    finally:
        os.umask(before)


def open_to_others(root: Path) -> Iterator[str]:
    """Yield what is not its user's alone."""
    for folder, folders, files in os.walk(root):
        for name in (".", *folders, *files):
            path = Path(os.path.normpath(os.path.join(folder, name)))
            found = os.lstat(path)
            if stat.S_IMODE(found.st_mode) not in ALLOWED.get(stat.S_IFMT(found.st_mode), set()):
                yield f"{stat.filemode(found.st_mode)} {path}"


def named_as_ours() -> set[str]:
    """Return what lies in the directories of all users under the names that swell uses."""
    places = {"/dev/shm", "/tmp", tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR", "/tmp")}
    return {str(path) for place in places for path in Path(place).glob(f"swell-{os.getuid()}-*")}


def test_all_that_a_server_makes_is_private(loose: Place) -> None:
    loose.told("start")
    said = json.loads((loose.data_dir / "server.json").read_text())
    loose.told("deploy", "private.py")
    loose.told("token", "create")
    loose.python(SPAWN)
    loose.told("app", "logs", "private")
    run_dir = Path(said["run_dir"])
    assert [*open_to_others(loose.data_dir), *open_to_others(run_dir)] == []
    assert any(run_dir.glob("web/*")), "the socket of the site was looked at"
    assert any((loose.data_dir / "blobs").iterdir()), "and the results that are kept"
    above = [loose.data_dir.parent, loose.data_dir.parent.parent]
    assert [stat.S_IMODE(path.stat().st_mode) for path in above] == [0o700, 0o700]
    assert said["address"] == f"unix:{loose.data_dir}/server.sock"
    loose.told("stop")
    assert not run_dir.exists()
    assert list(open_to_others(loose.data_dir)) == []


def test_all_that_a_private_server_makes_is_private(loose: Place) -> None:
    done = subprocess.run(
        [SWELL, "run", "-q", "private.py"],
        cwd=loose.folder,
        env=loose.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modes = dict(reversed(line.split(" ", 1)) for line in done.stdout.splitlines() if line.startswith(("d", "-", "s")))
    assert any("/web/" in path for path in modes)
    assert any(path.endswith("admin.token") for path in modes)
    assert set(modes.values()) <= {"drwx------", "-rw-------", "srw-------"}, modes
    (directory,) = {path for path in modes if path.endswith("server.sock")}
    assert not {path for path in named_as_ours() if directory.startswith(path)}


@pytest.mark.parametrize(
    "name", ["", "server.lock", "admin.token", "swell.db", "blobs", "bundles", "logs", "server.log"]
)
def test_a_server_does_not_start_on_what_others_could_have_planted(place: Place, name: str) -> None:
    place.told("start")
    place.told("stop")
    planted = place.data_dir / name
    if not planted.exists():
        planted.touch(0o600)
    mode = stat.S_IMODE(planted.stat().st_mode)
    planted.chmod(0o777)
    told = place.refused("start")
    assert "others may " in told
    assert f"{planted}, which has mode 0777" in told
    assert "then chmod " in told
    if not name:
        assert "others may write" in place.refused("status")
        assert "others may write" in place.refused("run", "jobs.py::square", "--x", "1")
    planted.chmod(mode)
    place.told("start")


def test_a_server_of_another_user_is_not_told_anything(place: Place) -> None:
    """A socket that another user has put in the place of the server's: to say Hello there would give away the token."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    path = place.folder / "evil.sock"
    place.folder.chmod(0o755)
    listen = (
        "import os, socket, sys\n"
        "listener = socket.socket(socket.AF_UNIX)\n"
        "listener.bind(sys.argv[1]); os.setgroups([]); os.setgid(65534); os.setuid(65534); listener.listen()\n"
        "print('here', flush=True)\n"
        "listener.settimeout(60)\n"
        "connection, _ = listener.accept()\n"
        "print(connection.recv(1_000), flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", listen, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        done = place.swell("status", SWELL_SERVER=f"unix:{path}", SWELL_TOKEN="secret")
        assert "belongs to user 65534, and this is user 0" in done.stdout + done.stderr
        assert process.communicate()[0] == "b''\n"
