"""Versions on a real server: deploying, again and again, loses nothing that runs or waits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from lasting import Lasting
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
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lasting]:
    place = Lasting(tmp_path_factory.mktemp("lasting"))
    try:
        place.told("start")
        yield place
    finally:
        place.end()


def deploy(lasting: Lasting, number: int, **how: str) -> None:
    lasting.deploy(CODE.replace("VERSION", str(number)), **how)


def give(lasting: Lasting, name: str) -> None:
    Path(f"{lasting.notes}-{name}").touch()


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
def test_many_deploys_under_load_lose_nothing(lasting: Lasting) -> None:
    last = int(os.environ.get("LASTING_DEPLOYS", "30"))  # more of them by hand
    deploy(lasting, 1)
    load = lasting.begin(LOAD)
    lasting.eventually((lasting.folder / "loaded").exists)
    lasting.python(DEPLOYS.replace("LAST", str(last)))
    lasting.eventually(lambda: lasting.python(f"print({VERSION_OF}.remote()[0])") == str(last))
    (lasting.folder / "stop").touch()
    told, errors = load.communicate(timeout=patience(50.0))
    assert load.returncode == 0, errors
    assert int(told) == last, "the load went on to the last version"


def test_rolling_lets_what_runs_finish_and_recreate_runs_it_again(lasting: Lasting) -> None:
    deploy(lasting, 101)
    old = lasting.python(f"print({WAITING}.spawn('rolled').object_id)")
    lasting.eventually(lambda: "begin-rolled-101" in lasting.noted())
    deploy(lasting, 102)
    give(lasting, "rolled")
    assert lasting.python(f"print(swell.FunctionCall.from_id({old!r}).get())") == "101"
    assert "begin-rolled-102" not in lasting.noted()

    new = lasting.python(f"print({WAITING}.spawn('recreated').object_id)")
    lasting.eventually(lambda: [word for word in lasting.noted() if word.startswith("begin-recreated")])
    deploy(lasting, 103, strategy="recreate")
    lasting.eventually(lambda: "begin-recreated-103" in lasting.noted())
    give(lasting, "recreated")
    assert lasting.python(f"print(swell.FunctionCall.from_id({new!r}).get())") == "103"


def test_a_version_can_be_kept_to_and_gone_back_to(lasting: Lasting) -> None:
    deploy(lasting, 201)
    first = int(lasting.told("app", "history", "versions").split("\n")[1].split()[0].removeprefix("v"))
    deploy(lasting, 202)
    pinned = f"swell.Function.from_name('versions', 'version', version={first})"
    assert lasting.python(f"print({pinned}.remote()[0], {VERSION_OF}.remote()[0])") == "201 202"
    lasting.restart_killed()
    assert lasting.python(f"print({pinned}.remote()[0], {VERSION_OF}.remote()[0])") == "201 202"
    lasting.told("app", "rollback", "versions", f"v{first}")
    lasting.eventually(lambda: lasting.python(f"print({VERSION_OF}.remote()[0])") == "201")


def test_a_deploy_that_fails_leaves_the_live_version_alone(lasting: Lasting) -> None:
    deploy(lasting, 301)
    (lasting.folder / "program.py").write_text("import swell\napp = swell.App('versions')\nraise OSError('no')\n")
    assert lasting.swell("deploy", "program.py").returncode == 1
    (lasting.folder / "program.py").write_text(
        "import swell\napp = swell.App('versions')\n"
        "@app.function(schedule=swell.Cron('61 * * * *'))\ndef version(): pass\n"
    )
    refused = lasting.swell("deploy", "program.py")
    assert refused.returncode == 1
    assert "61" in refused.stderr
    lasting.eventually(lambda: lasting.python(f"print({VERSION_OF}.remote()[0])") == "301")
