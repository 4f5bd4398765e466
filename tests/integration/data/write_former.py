"""Write the data directory that `test_former_database.py` opens: run it with the version before.

    PYTHON tests/integration/data/write_former.py

PYTHON is that of a virtual environment in which the former version is installed as users install it. The data directory
goes to `former.tar.gz` beside this file, without logs; what a test must know of it, to `former.json`. Only names that
users see may be used here, so that every version can run it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATIENCE_S = 60.0

#: What is deployed. A function waits until there is a file `open` in its working directory.
CODE = """
import os, time
import swell

app = swell.App("former", tags={"team": "blue"})

def note(word):
    with open("notes", "a") as notes:
        notes.write(word + "\\n")

@app.function()
def double(x):
    return 2 * x

@app.function()
def fail(x):
    raise KeyError(x)

@app.function(max_containers=1)
def wait(x):
    while x >= 50 and not os.path.exists("open"):
        time.sleep(0.01)
    note(f"wait-{x}")
    return VERSION, x

@app.function(retries=swell.Retries(max_retries=2, initial_delay=60.0, backoff_coefficient=1.0))
def unsteady(name):
    note(f"unsteady-{name}")
    if not os.path.exists("open"):
        raise ValueError(name)
    return name

@app.function()
def same(*values):
    return values

@app.function(max_containers=1)
def late(*values):
    while not os.path.exists("open"):
        time.sleep(0.01)
    return values

@app.function(serialized=True, name="adds")
def adds(x):
    return x + VERSION

@app.function(schedule=swell.Period(days=20))
def nightly():
    note("nightly")

@app.function()
@swell.asgi_app()
def site():
    async def answer(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"from the site"})
    return answer

@app.cls(max_containers=1)
class Translator:
    language: str = swell.parameter()

    @swell.method()
    def translate(self, word: str) -> str:
        while word == "late" and not os.path.exists("open"):
            time.sleep(0.01)
        return f"{self.language}: {word}"
"""

#: What is spawned. Prints ids by name.
CALLS = """
import json, time
import swell
from pathlib import Path

def named(name, **which):
    return swell.Function.from_name("former", name, **which)

def failed(call):
    try:
        call.get(timeout=50)
    except Exception as error:
        return type(error).__name__
    raise AssertionError("it has not failed")

Translator = swell.Cls.from_name("former", "Translator")
wait, unsteady = named("wait"), named("unsteady")
ended = {
    "small": named("double").spawn(21),
    "large": named("double").spawn(b"x" * 1_000_000),
    "many": named("double").spawn_map(range(300)),
    "failure": named("fail").spawn("bad"),
    "objects": named("same").spawn(swell.Retries(max_retries=7), swell.Secret.from_dict({"KEY": "value"})),
    "serialized": named("adds").spawn(40),
    "variant": Translator(language="fr").translate.spawn("chat"),
    "options": named("double").with_options(max_containers=2).spawn(4),
}
assert failed(ended["failure"]) == "KeyError"
for name, call in ended.items():
    if name not in ("many", "failure"):
        call.get(timeout=50)
assert len(list(ended["many"].iter())) == 300

cancelled = wait.spawn(98)
cancelled.cancel()
ended["cancelled"] = cancelled

waiting = {"half": wait.spawn_map(range(100))}  # calls take turns: any behind it would wait in the only container
assert [value for _, value in (waiting["half"].get(timeout=50, index=index) for index in range(50))] == list(range(50))
waiting |= {
    "behind": wait.spawn(99),
    "pinned": named("wait", version=1).spawn(60),
    "retried": unsteady.spawn("again"),
    "late_variant": Translator(language="fr").translate.spawn("late"),
    "late_objects": named("late").spawn(swell.Retries(max_retries=7), swell.Secret.from_dict({"KEY": "value"})),
    "late_large": named("late").spawn(b"x" * 1_000_000),
}
named("double").update_autoscaler(max_containers=3)
Translator(language="fr").update_autoscaler(buffer_containers=2)
print(json.dumps([{name: call.object_id for name, call in calls.items()} for calls in (ended, waiting)]))
"""


class Former:
    """A server of the version that runs this, in a place of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        # Nothing of whoever runs this is to be in what is kept.
        self.environment = {
            **{"PATH": os.defpath, "HOME": str(folder), "USER": "somebody", "LANG": "C.UTF-8"},
            **{"SWELL_DATA_DIR": str(self.data_dir), "SWELL_EXIT_GRACE_S": "1"},
            **{"SWELL_WEB_PORT": "0", "SWELL_ADMIN_PORT": "0"},
        }

    def run(self, *command: str) -> str:
        """Run a program to its end; return what it prints."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)[:80]}: {done.stdout}{done.stderr}")
        return done.stdout

    def swell(self, *arguments: str) -> str:
        return self.run("-m", "swell", *arguments)

    def deploy(self, version: int) -> None:
        (self.folder / "program.py").write_text(CODE.replace("VERSION", str(version)))
        self.swell("deploy", "program.py")

    def spawn_in_json(self, function: str, *arguments: object) -> str:
        """Spawn a call by the HTTP API; return its id."""
        status = json.loads(self.swell("status", "--json"))
        request = urllib.request.Request(
            f"{status['admin_url'].rstrip('/')}/api/v1/apps/former/functions/{function}/spawn",
            json.dumps({"args": arguments}).encode(),
            {
                "Authorization": f"Bearer {(self.data_dir / 'admin.token').read_text().strip()}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)["call_id"]

    def result_in_json(self, call: str) -> str:
        """Return how a call ended."""
        return self.run("-c", f"import swell; print(swell.FunctionCall.from_id({call!r}).get(timeout=50))").strip()


def until(condition: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > limit:
            sys.exit(f"{what}, and it has not come true")
        time.sleep(0.05)


def write(folder: Path) -> dict[str, object]:
    """Fill a data directory; return what is to be known of it."""
    former = Former(folder)
    former.swell("start")
    try:
        former.deploy(1)
        former.deploy(2)
        ended, waiting = json.loads(former.run("-c", CALLS))
        ended["json"] = former.spawn_in_json("double", 8)
        assert former.result_in_json(ended["json"]) == "16"
        waiting["late_json"] = former.spawn_in_json("wait", 96)
        until(lambda: "unsteady-again" in (folder / "notes").read_text(), "the first attempt of an input fails")
    finally:
        former.swell("stop")
    return {
        "python": sys.version.split()[0],
        "interpreter": sys.executable,
        "folder": str(folder),
        "ended": ended,
        "waiting": waiting,
    }


def pack(data_dir: Path, archive: Path) -> None:
    """Keep the database and the blobs. Bundles lie in the database, too; logs tell only of the past."""
    with tarfile.open(archive, "w:gz", compresslevel=9) as tar:
        for path in sorted(data_dir.rglob("*")):
            kept = path.relative_to(data_dir)
            if path.is_file() and (kept.name.startswith("swell.db") or kept.parts[0] == "blobs"):
                tar.add(path, str(kept), filter=_anonymous)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="former-", dir="/tmp") as place:
        known = write(Path(place))
        pack(Path(place) / "data", HERE / "former.tar.gz")
        (HERE / "former.json").write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
