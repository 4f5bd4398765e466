"""Code on nodes: it comes in a bundle, and nothing of the client's machine is there, neither files nor their names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from daemon import Daemon
from patience import patience, wait_until

#: A program that hides its files as soon as its App runs, and prints what its functions say.
HIDE = """
import json, os, sys
import swell

def hidden(app, ask):
    home = os.environ["HOME"]
    with app.run():
        os.rename(home, f"{home}.gone")
        try:
            said = ask()
        finally:
            os.rename(f"{home}.gone", home)
    json.dump(said, sys.stdout)
"""

#: What a function can see of where it runs.
LOOK = """
import os, sys

def look():
    named = [*sys.path, *os.environ.values(), os.getcwd(), sys.executable]
    named += [str(getattr(module, "__file__", "")) for module in list(sys.modules.values())]
    return {"named": named, "variables": dict(os.environ), "cwd": os.getcwd(), "here": sorted(os.listdir())}
"""

SCRIPT = """
import os
from dataclasses import dataclass

import swell
from hide import hidden
from look import look
from package.deep.module import LEVEL

image = swell.Image.debian_slim().add_local_dir("texts", "data").env({"FROM_IMAGE": "/image/path"})
app = swell.App("script", image=image, secrets=[swell.Secret.from_dict({"PASSWORD": "open"})])

@dataclass
class Point:
    x: int

@app.function()
def seen():
    return look()

@app.function()
def moved(point):
    import late
    with open(os.path.join(os.path.dirname(__file__), "data", "word.txt")) as file:
        return [point.x + LEVEL + late.LATE, file.read(), isinstance(point, Point)]

@app.function(image=image.workdir("data"))
def where():
    return os.listdir()

if __name__ == "__main__":
    hidden(app, lambda: [seen.remote(), moved.remote(Point(1)), where.remote()])
"""

INTERACTIVE = """
import swell
from hide import hidden
from look import look

app = swell.App("prompt")

class Point:
    x = 3

@app.function(serialized=True)
def seen():
    import late
    return [look(), Point.x, late.LATE]

hidden(app, lambda: seen.remote())
"""


class Client:
    """A program with a home of its own, from which everything comes that is the client's."""

    def __init__(self, daemon: Daemon, home: Path) -> None:
        self.home = home
        self.daemon = daemon
        self.environment = daemon.environment | {
            "HOME": str(home),
            "TMPDIR": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "PYTHONPATH": str(home / "lib"),
            "LD_LIBRARY_PATH": str(home / "lib"),
            "PATH": f"{home}/bin:{os.environ['PATH']}",
            "MODEL": "small",
        }
        for name, text in {
            "hide.py": HIDE,
            "look.py": LOOK,
            "script.py": SCRIPT,
            "late.py": "LATE = 100\n",
            "package/__init__.py": "",
            "package/deep/__init__.py": "",
            "package/deep/module.py": "LEVEL = 10\n",
            "texts/word.txt": "hello",
            "lib/hint": "",
        }.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        file = self.home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, *command: str, **how: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=patience(60.0),
            check=False,
            **how,
        )

    def said(self, *command: str, **how: Any) -> Any:
        """Return what a program prints that ends well."""
        done = self.run(*command, **how)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def failed(self, program: str) -> str:
        """Return what a program of this text says last, which fails."""
        self.write("program.py", program)
        done = self.run("program.py")
        assert done.returncode != 0
        return done.stderr

    def is_not_in(self, seen: dict[str, Any]) -> None:
        """Assert that a function has seen nothing of this client's machine."""
        assert [each for each in seen["named"] if str(self.home) in each] == []
        assert seen["variables"]["MODEL"] == "small"


def templates(daemon: Daemon) -> list[int]:
    """How many each node has: containers are children of these, not of its agent."""
    processes = psutil.Process(daemon.pid).children()
    return [len(each.children()) for each in processes if "swell.agent.main" in each.cmdline()]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    place = Daemon(tmp_path_factory.mktemp("daemon"), backend="agents", agents=2)
    try:
        place.told("start")
        yield place
        assert templates(place) == [1, 1], "whatever the clients were"
    finally:
        place.end()


@pytest.fixture
def client(daemon: Daemon, tmp_path: Path) -> Client:
    return Client(daemon, tmp_path / "home")


def bundles(daemon: Daemon) -> list[str]:
    """The bundles of the server and of its nodes."""
    run_dir = Path(json.loads((daemon.data_dir / "server.json").read_text())["run_dir"])
    return [str(path) for pattern in ("bundles/*", "nodes/*/bundles/*") for path in run_dir.glob(pattern)]


def test_a_script_runs_where_its_files_are_not(client: Client) -> None:
    seen, (number, word, is_point), where = client.said("script.py")
    client.is_not_in(seen)
    assert {"script.py", "look.py", "package", "data"} <= set(seen["here"])
    assert seen["variables"]["FROM_IMAGE"] == "/image/path"
    assert seen["variables"]["PASSWORD"] == "open"
    assert seen["variables"]["PYTHONPATH"].split(os.pathsep)[0] == seen["cwd"]
    assert (number, word, is_point) == (111, "hello", True)
    assert where == ["word.txt"]


def test_so_does_what_was_typed_at_a_prompt(client: Client) -> None:
    seen, x, late = client.said("-", input=INTERACTIVE)
    client.is_not_in(seen)
    assert (x, late) == (3, 100)


def test_so_does_a_deployed_version(client: Client, daemon: Daemon) -> None:
    assert client.run("-m", "swell", "deploy", "script.py").returncode == 0
    client.home.rename(client.home.with_name("moved"))
    seen = daemon.python("import json; print(json.dumps(swell.Function.from_name('script', 'seen').remote()))")
    client.is_not_in(json.loads(seen))
    assert bundles(daemon)
    daemon.told("app", "stop", "--yes", "script")
    wait_until(lambda: not bundles(daemon), lambda: f"left: {bundles(daemon)}")


def test_what_an_app_has_brought_goes_with_it(client: Client, daemon: Daemon) -> None:
    client.write(
        "program.py",
        "import swell\nfrom hide import hidden\napp = swell.App()\n"
        "@app.function()\ndef f(x): return x\n"
        "if __name__ == '__main__': hidden(app, lambda: list(f.map(range(100))))\n",
    )
    assert client.said("program.py") == list(range(100))
    wait_until(lambda: not bundles(daemon), lambda: f"left: {bundles(daemon)}")


def test_a_module_that_is_nowhere_is_named_where_the_call_was_made(client: Client) -> None:
    client.write("unseen.py", "class Value: pass\n")
    program = """
import importlib, swell
app = swell.App()
name = "unseen"

@app.function()
def f(x=None):
    return importlib.import_module(name).Value

if __name__ == "__main__":
    with app.run():
        f.remote({})
"""
    assert "No module named 'unseen'" in client.failed(program.format(""))
    why = client.failed(program.format("importlib.import_module(name).Value()"))
    assert "unseen" in why
    assert "add_local_python_source('unseen')" in why
