"""Deployed code runs from its bundle: bundled in one process, loaded in a fresh one, the original files gone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from patience import patience

from swell.backends.process.template import Interpreter
from swell.model import Environment, FunctionSpec
from swell.wire import bundle

#: The end of a program that deploys itself, but for the server.
DEPLOY = """
if __name__ == "__main__":
    import os, msgspec
    from swell.sdk.deploy.bundling import bundle
    with open(os.environ["OUT"], "wb") as out:
        out.write(msgspec.msgpack.encode(bundle(app.describe())))
"""

#: What the command line does: load what is named, then deploy its App.
COMMAND = (
    """
import sys
from swell.cli.reference import load, parse
module = load(parse(sys.argv[-1], is_module=sys.argv[1] == "-m"))
app = module.app
"""
    + DEPLOY
)

#: A container, but for the server.
CONTAINER = """
import json, sys, msgspec
from swell.model import Environment, FunctionSpec
from swell.runner import lifecycle, loader, snapshot

environment, specs = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=tuple[Environment, list[FunctionSpec]])
said = {}
for number, spec in enumerate(specs):
    if sys.argv[1] == "snapshot":
        program = snapshot.take(spec, environment)
    else:
        loader.enter_environment(environment, spec, {})
        program = lifecycle.load_program(spec, environment.bundle_dir)
    for name, entry in program.entries.items():
        said[spec.name.replace("*", name)] = entry.call()
json.dump(said, sys.stdout)
"""


class Version(NamedTuple):
    """What a server keeps of a version."""

    specs: list[FunctionSpec]
    environment: Environment
    archive: bytes


def deploy(home: Path, *command: str, **variables: str) -> Version:
    """Run a program that deploys, in the directory `home`; return what it would send."""
    out = home.parent / "out"
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    subprocess.run(
        [sys.executable, *command], cwd=home, env={**environ, "OUT": str(out)}, check=True, timeout=patience(50.0)
    )
    return msgspec.msgpack.decode(out.read_bytes(), type=Version)


def run(version: Version, directory: Path, how: str = "plain") -> dict[str, Any]:
    """Lay out the bundle as a server does, and call everything in a process that is started as a template is."""
    place = str(directory / version.environment.bundle)
    bundle.write(bundle.unpack(version.archive), place)
    environment = msgspec.structs.replace(version.environment, bundle_dir=place)
    interpreter = Interpreter.of(environment)
    done = subprocess.run(
        [interpreter.python, "-P", "-c", CONTAINER, how],
        cwd="/",
        env=dict(interpreter.variables),
        input=msgspec.msgpack.encode((environment, version.specs)),
        capture_output=True,
        timeout=patience(50.0),
    )
    assert not done.returncode, done.stderr.decode()
    return json.loads(done.stdout)


def write(home: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The directory of a project; it is emptied, or changed, before the containers start."""
    path = tmp_path / "home"
    path.mkdir()
    return path


def forget(home: Path) -> None:
    """Change every file so that whoever reads it fails, and delete half of them."""
    for number, path in enumerate(sorted(home.rglob("*.py"))):
        path.write_text("raise AssertionError('a file was read where it lay')")
        if number % 2:
            path.unlink()
    for path in home.rglob("*.txt"):
        path.unlink()
    for path in home.rglob("__pycache__"):
        shutil.rmtree(path)


SCRIPT = """
import swell
from pathlib import Path
import near, sys
from package.inner import deep

app = swell.App("a")

@app.function()
def everything():
    import late
    return [near.WHO, late.WHO, deep.WHO, deep.data(), Path(__file__).name]

@app.cls()
class Model:
    @swell.method()
    def who(self):
        return [near.WHO, __name__]
"""

#: Every way of depending on a file, but for the App's own.
PARTS = {
    "near.py": "WHO = 'near'",
    "late.py": "WHO = 'late'",
    "only_here.py": "WHO = 'deep'",
    "package/__init__.py": "import near",
    "package/beside.py": "import only_here\nWHO = only_here.WHO",
    "package/inner/__init__.py": "",
    "package/inner/data.txt": "data",
    "package/inner/deep.py": """
from ..beside import WHO
from pathlib import Path

def data():
    return (Path(__file__).parent / "data.txt").read_text()
""",
}

#: The App in the package, which it needs to know.
INSIDE = SCRIPT.replace("from package.inner import", "from .inner import")

NAMES = ["near", "late", "deep", "data"]


@pytest.mark.parametrize("how", ["plain", "snapshot"])
def test_a_script_that_deploys_itself(home: Path, tmp_path: Path, how: str) -> None:
    write(home, {**PARTS, "app.py": SCRIPT + DEPLOY})
    version = deploy(home, "app.py")
    forget(home)
    assert run(version, tmp_path, how) == {
        "everything": [*NAMES, "app.py"],
        "Model.who": ["near", "__main__"],
    }


def test_a_script_in_another_directory(home: Path, tmp_path: Path) -> None:
    write(home / "sub", {**PARTS, "app.py": SCRIPT + DEPLOY})
    write(home, {"near.py": "raise AssertionError('not on the path')"})
    version = deploy(home, "sub/app.py")
    forget(home)
    assert run(version, tmp_path)["everything"] == [*NAMES, "app.py"]


@pytest.mark.parametrize("reference", ["app.py", "sub/app.py"])
def test_a_script_that_the_command_line_loads(home: Path, tmp_path: Path, reference: str) -> None:
    write((home / reference).parent, {**PARTS, "app.py": SCRIPT})
    version = deploy(home, "-c", COMMAND, "script", reference)
    forget(home)
    assert run(version, tmp_path) == {
        "everything": [*NAMES, "app.py"],
        "Model.who": ["near", "app"],
    }


def test_a_module_that_the_command_line_loads(home: Path, tmp_path: Path) -> None:
    write(home, {**PARTS, "package/app.py": INSIDE})
    version = deploy(home, "-c", COMMAND, "-m", "package.app")
    forget(home)
    assert run(version, tmp_path) == {
        "everything": [*NAMES, "app.py"],
        "Model.who": ["near", "package.app"],
    }


def test_a_module_that_deploys_itself(home: Path, tmp_path: Path) -> None:
    write(home, {**PARTS, "package/app.py": INSIDE + DEPLOY})
    version = deploy(home, "-m", "package.app")
    forget(home)
    assert run(version, tmp_path)["everything"] == [*NAMES, "app.py"]


def test_a_package_that_is_run(home: Path, tmp_path: Path) -> None:
    write(home, {**PARTS, "package/__main__.py": INSIDE + DEPLOY})
    version = deploy(home, "-m", "package")
    forget(home)
    assert run(version, tmp_path)["everything"] == [*NAMES, "__main__.py"]


STARTING = """
import subprocess, sys
import near, swell

app = swell.App("a")

@app.function()
def child():
    command = [sys.executable, "-c", "import near; print(near.WHO)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
"""


def test_modules_on_pythonpath_and_the_programs_that_the_code_starts(home: Path, tmp_path: Path) -> None:
    write(home, {"bin/app.py": STARTING + DEPLOY, "lib/near.py": "WHO = 'near'"})
    version = deploy(home, "bin/app.py", PYTHONPATH="lib")
    forget(home)
    assert run(version, tmp_path) == {"child": "near"}


def test_code_that_puts_a_live_directory_on_the_path_still_reads_its_bundle(home: Path, tmp_path: Path) -> None:
    meddling = "import os, sys\nsys.path.insert(0, os.path.join(os.getcwd(), 'lib'))\n"
    moved = {f"lib/{name}": text for name, text in PARTS.items()}
    write(home, {**moved, "app.py": meddling + SCRIPT + DEPLOY})
    version = deploy(home, "app.py")
    forget(home)
    assert run(version, tmp_path)["everything"] == [*NAMES, "app.py"]


def test_functions_by_value_find_what_they_refer_to(home: Path, tmp_path: Path) -> None:
    write(home, {"near.py": "WHO = 'near'", "late.py": "WHO = 'late'", "other.py": ""})
    typed = """
import near, swell

app = swell.App("a")

@app.function(serialized=True)
def value():
    import late
    return [near.WHO, late.WHO]
"""
    version = deploy(home, "-c", typed + DEPLOY)
    forget(home)
    assert set(bundle.unpack(version.archive)) == {"near.py", "late.py"}
    assert run(version, tmp_path) == {"value": ["near", "late"]}


FAILING = """
import near, swell

app = swell.App("a")

@app.function()
def failing():
    from swell.wire.payload import format_exception
    from swell.runner.result_codec import HIDDEN
    try:
        near.fail()
    except ZeroDivisionError as error:
        return format_exception(error, hide=HIDDEN)
"""


def test_an_error_shows_the_file_in_the_bundle_and_its_line(home: Path, tmp_path: Path) -> None:
    write(home, {"near.py": "def fail():\n    1 / 0  # on purpose", "app.py": FAILING + DEPLOY})
    version = deploy(home, "app.py")
    forget(home)
    text = run(version, tmp_path)["failing"]
    place = tmp_path / version.environment.bundle
    assert f'File "{place}/near.py", line 2, in fail' in text
    assert "1 / 0  # on purpose" in text


def test_deploying_again_from_another_terminal_is_no_change(home: Path) -> None:
    write(home, {**PARTS, "app.py": SCRIPT + DEPLOY})
    first = deploy(home, "app.py", TERM="xterm", SHLVL="1", SSH_TTY="/dev/pts/1", PYTHONHASHSEED="1")
    os.utime(home / "near.py", (0, 0))
    again = deploy(home, "app.py", TERM="screen", SHLVL="3", TMUX="/tmp/tmux", PYTHONHASHSEED="1")
    assert again == first
    write(home, {"near.py": "WHO = 'someone else'"})
    assert deploy(home, "app.py", PYTHONHASHSEED="1").environment.bundle != first.environment.bundle
