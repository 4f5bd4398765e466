"""Versions on a real server: deploying, again and again, loses nothing that runs or waits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from patience import patience

CODE = """
import os, time
import swell

app = swell.App("versions")

def note(word):
    with open(NOTES, "a") as notes:
        notes.write(word + "\\n")

@app.function(max_containers=2)
def version(x: int = 0) -> tuple[int, int]:
    return VERSION, x

@app.function(max_containers=1)
def wait(name: str) -> int:
    note(f"begin-{name}-{VERSION}")
    while not os.path.exists(NOTES + "-" + name):
        time.sleep(0.01)
    return VERSION
"""

#: Calls by remote() and spawn until there is a file `stop`; then every call has its result.
LOAD = """
import os, sys
version = swell.Function.from_name("versions", "version")
calls, seen = {}, []
for number in range(1_000_000):
    if os.path.exists("stop"):
        break
    live, x = version.remote(number)
    assert x == number
    seen.append(live)
    calls[number] = version.spawn(number)
    if number == 0:
        open("loaded", "w").close()
for number, call in calls.items():
    live, x = call.get()
    assert x == number
print(max(seen))
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    place = Daemon(tmp_path_factory.mktemp("daemon"))
    try:
        place.told("start")
        yield place
    finally:
        place.end()


def deploy(daemon: Daemon, number: int, **how: str) -> None:
    daemon.deploy(CODE.replace("VERSION", str(number)), **how)


def give(daemon: Daemon, name: str) -> None:
    Path(f"{daemon.notes}-{name}").touch()


VERSION_OF = "swell.Function.from_name('versions', 'version')"
WAITING = "swell.Function.from_name('versions', 'wait')"

#: Deploys versions 2 to N of a program that was written anew for each, from one process.
DEPLOYS = """
import importlib.util, pathlib, sys
for number in range(2, LAST + 1):
    folder = pathlib.Path(f"v{number}")
    folder.mkdir()
    path = folder / "program.py"
    path.write_text(pathlib.Path("program.py").read_text().replace("return 1, x", f"return {number}, x"))
    spec = importlib.util.spec_from_file_location("program", path)
    module = sys.modules["program"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.app.deploy()
"""


@pytest.mark.timeout(120)
def test_many_deploys_under_load_lose_nothing(daemon: Daemon) -> None:
    last = int(os.environ.get("DAEMON_DEPLOYS", "30"))  # more of them by hand
    deploy(daemon, 1)
    load = daemon.begin(LOAD)
    daemon.eventually((daemon.folder / "loaded").exists)
    daemon.python(DEPLOYS.replace("LAST", str(last)))
    daemon.eventually(lambda: daemon.python(f"print({VERSION_OF}.remote()[0])") == str(last))
    (daemon.folder / "stop").touch()
    told, errors = load.communicate(timeout=patience(50.0))
    assert load.returncode == 0, errors
    assert int(told) == last, "the load went on to the last version"


def test_rolling_lets_what_runs_finish_and_recreate_runs_it_again(daemon: Daemon) -> None:
    deploy(daemon, 101)
    old = daemon.python(f"print({WAITING}.spawn('rolled').object_id)")
    daemon.eventually(lambda: "begin-rolled-101" in daemon.noted())
    deploy(daemon, 102)
    give(daemon, "rolled")
    assert daemon.python(f"print(swell.FunctionCall.from_id({old!r}).get())") == "101"
    assert "begin-rolled-102" not in daemon.noted()

    new = daemon.python(f"print({WAITING}.spawn('recreated').object_id)")
    daemon.eventually(lambda: [word for word in daemon.noted() if word.startswith("begin-recreated")])
    deploy(daemon, 103, strategy="recreate")
    daemon.eventually(lambda: "begin-recreated-103" in daemon.noted())
    give(daemon, "recreated")
    assert daemon.python(f"print(swell.FunctionCall.from_id({new!r}).get())") == "103"


def test_a_version_can_be_kept_to_and_gone_back_to(daemon: Daemon) -> None:
    deploy(daemon, 201)
    first = int(daemon.told("app", "history", "versions").split("\n")[1].split()[0].removeprefix("v"))
    deploy(daemon, 202)
    pinned = f"swell.Function.from_name('versions', 'version', version={first})"
    assert daemon.python(f"print({pinned}.remote()[0], {VERSION_OF}.remote()[0])") == "201 202"
    daemon.restart_killed()
    assert daemon.python(f"print({pinned}.remote()[0], {VERSION_OF}.remote()[0])") == "201 202"
    daemon.told("app", "rollback", "versions", f"v{first}")
    daemon.eventually(lambda: daemon.python(f"print({VERSION_OF}.remote()[0])") == "201")


def test_a_deploy_that_fails_leaves_the_live_version_alone(daemon: Daemon) -> None:
    deploy(daemon, 301)
    (daemon.folder / "program.py").write_text("import swell\napp = swell.App('versions')\nraise OSError('no')\n")
    assert daemon.swell("deploy", "program.py").returncode == 1
    (daemon.folder / "program.py").write_text(
        "import swell\napp = swell.App('versions')\n"
        "@app.function(schedule=swell.Cron('61 * * * *'))\ndef version(): pass\n"
    )
    refused = daemon.swell("deploy", "program.py")
    assert refused.returncode == 1
    assert "61" in refused.stderr
    daemon.eventually(lambda: daemon.python(f"print({VERSION_OF}.remote()[0])") == "301")
