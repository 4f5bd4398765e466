"""The programs and commands of the readme, typed as they stand there, do what it says of them."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from place import PATIENCE_S, SWELL, Place

PROGRAMS = {"swell": SWELL, "python": sys.executable}


@pytest.fixture
def readme(repository: Path, place: Place) -> str:
    """The text; the programs in it lie where they are run."""
    text = (repository / "README.md").read_text()
    for name, program in re.findall(r"[Ww]rite into `([\w.]+)`:\n\n```python\n(.*?)```", text, re.DOTALL):
        (place.folder / name).write_text(program)
    return text


def commands(readme: str, title: str) -> list[str]:
    """Return the commands of a section, without comments."""
    section = readme.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]


def typed(place: Place, command: str) -> str:
    """Return what a command prints."""
    program, *words = shlex.split(command)
    done = subprocess.run(
        [PROGRAMS[program], *words],
        cwd=place.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=place.environment,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_your_own_function(readme: str, place: Place) -> None:
    run = next(command for command in commands(readme, "Your own function") if "squares.py" in command)
    assert typed(place, run) == "333283335000\n"


@pytest.mark.timeout(150)
def test_deploy_it(readme: str, place: Place) -> None:
    call_id, said = "", {}
    for command in commands(readme, "Deploy it"):
        said[command] = typed(place, command.replace("fc-…", call_id))
        if command == "python ask.py":
            answer, call_id = said[command].split()
            assert answer == "49"
    assert "squares v1 is live" in said["swell deploy squares.py"]
    assert "of 100,000 done" in said["swell call show fc-…"]
    assert said["swell call result fc-… --index 99999"] == "9999800001\n"
    assert "squares" in said["swell app list"]


@pytest.mark.timeout(150)
def test_put_it_on_the_web(readme: str, place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    place.environment |= {"SWELL_WEB": "1", "SWELL_WEB_PORT": port}
    start, deploy, curl, dashboard = commands(readme, "Put it on the web")
    typed(place, start)
    url = shlex.split(curl.replace("8700", port))[1]
    assert url.partition("?")[0] in typed(place, deploy)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b'{"hello":"Ada"}'
    assert "http://" in typed(place, f"{dashboard} --no-open")
