"""`swell deploy`: what it shows, what it makes live, and what it refuses."""

from __future__ import annotations

import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import PATIENCE_S, Place


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place whose server runs, without an App."""
    folder = tmp_path_factory.mktemp("place")
    place = Place(folder, folder / "data")
    place.environment |= {"SWELL_GPU_FALLBACK": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    try:
        place.told("start")
        yield place
    finally:
        place.end()


SHOP = """
import swell

app = swell.App("shop")

@app.function()
@swell.wsgi_app()
def front():
    def answer(environ, start_response):
        start_response("200 OK", [])
        return [b"open"]
    return answer

@app.cls()
class Desk:
    @swell.wsgi_app()
    def bell(self):
        raise AssertionError("nobody asks")
"""


def write(place: Place, name: str, text: str) -> Path:
    path = place.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"import swell\n{text}")
    return path


def test_it_shows_what_the_app_consists_of_and_its_version(started: Place) -> None:
    out = started.told("deploy", "jobs.py", "--name", "shown")
    assert re.match(r"shown \(ap-\w+\)\n├── square: function\n", out)
    assert re.search(r"├── nightly: function, Period\(days=1\), next run \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]", out)
    assert "├── site: ASGI app" in out
    assert "└── Model: class, predict()\n" in out
    assert re.search(r"App deployed in [\d.]+ s: shown v1 is live\n$", out)


def test_without_a_change_it_makes_no_version(started: Place) -> None:
    started.told("deploy", "jobs.py", "--name", "same")
    assert "Deployment skipped: no changes, same v1 is live" in started.told("deploy", "jobs.py", "--name", "same")
    assert len(started.json("app", "history", "same")) == 1


def test_what_is_deployed_is_what_was_in_the_file(started: Place) -> None:
    path = write(started, "edited.py", "app = swell.App('edited')\n@app.function()\ndef f():\n    return 1\n")
    started.told("deploy", "edited.py")
    path.write_text(path.read_text().replace("return 1", "return 2"))
    call = "print(swell.Function.from_name('edited', 'f').remote())"
    assert started.python(call) == "1"
    assert "edited v2 is live" in started.told("deploy", "edited.py", "--strategy", "recreate", "--tag", "second")
    assert started.python(call) == "2"
    assert [row["tag"] for row in started.json("app", "history", "edited")] == ["second", ""]


def test_a_module_and_another_variable(started: Place) -> None:
    write(started, "parcel/__init__.py", "")
    write(
        started,
        "parcel/inner.py",
        "from . import other\nmine = swell.App('parcel')\n@mine.function()\ndef f():\n    return other.VALUE\n",
    )
    write(started, "parcel/other.py", "VALUE = 'relative'")
    started.told("deploy", "-m", "parcel.inner::mine")
    assert started.python("print(swell.Function.from_name('parcel', 'f').remote())") == "relative"
    refused = started.refused("deploy", "parcel/inner.py")
    assert "swell deploy -m package.module" in refused


def test_the_only_app_needs_no_name_and_several_do(started: Place) -> None:
    write(started, "one.py", "only = swell.App('only')\nagain = only\n")
    assert "only v1 is live" in started.told("deploy", "one.py")
    write(started, "two.py", "left = swell.App('l')\nright = swell.App('r')\n")
    refused = started.refused("deploy", "two.py")
    assert "say which App of two.py is meant" in refused
    assert "  swell deploy two.py::left  (l)\n  swell deploy two.py::right  (r)" in refused
    assert "did you mean left?" in started.refused("deploy", "two.py::lef")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["jobs.py:app"], 1, "two colons, jobs.py::app"),
        (["jbos.py"], 1, "did you mean jobs.py?"),
        (["jobs.py::square"], 1, "'square' in jobs.py is no App"),
        (["jobs.py", "--name", "not a name"], 1, "Invalid App name: 'not a name'"),
        (["jobs.py", "--tag", "x" * 51], 1, "at most 50"),
        (["jobs.py", "--strategy", "sudden"], 2, "'rolling', 'recreate'"),
        ([], 2, "Missing argument 'APP_REF'"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_misuse(started: Place, arguments: list[str], code: int, told: str) -> None:
    assert told in started.refused("deploy", *arguments, code=code)


def test_an_app_without_a_name_needs_one(started: Place) -> None:
    write(started, "nameless.py", "app = swell.App()\n@app.function()\ndef f():\n    pass\n")
    assert "needs a name" in started.refused("deploy", "nameless.py")
    assert "christened v1 is live" in started.told("deploy", "nameless.py", "-n", "christened")


def test_what_cannot_run_is_refused_and_leaves_the_version_before_alone(started: Place) -> None:
    started.told("deploy", "jobs.py", "--name", "stable")
    write(
        started,
        "unsound.py",
        "app = swell.App('stable')\n@app.function(schedule=swell.Cron('never'))\ndef f():\n    pass\n",
    )
    assert "Cron('never')" in started.refused("deploy", "unsound.py")
    assert [row["version"] for row in started.json("app", "history", "stable")] == ["v1"]


def test_an_error_of_the_users_file_is_told_from_their_first_line_on(started: Place) -> None:
    write(started, "broken.py", "1 / 0\n")
    done = started.swell("deploy", "broken.py")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n  File ")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "swell/cli" not in done.stderr


def test_warnings_are_shown_as_sentences(started: Place) -> None:
    write(
        started, "wishes.py", "app = swell.App('wishes')\n@app.function(gpu='H100:8', memory=1)\ndef f():\n    pass\n"
    )
    done = started.swell("deploy", "wishes.py")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"Warning: f: .*; running on the CPU instead .*\n", done.stderr)


def test_its_logs_can_be_streamed_until_ctrl_c(started: Place) -> None:
    process = started.begin("deploy", "jobs.py", "--name", "streamed", "--stream-logs", "--timestamps")
    assert process.stdout is not None
    for line in process.stdout:
        if "streamed v1 is live" in line:
            break
    started.spawn("square", 7, app="streamed")
    line = process.stdout.readline()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d square ta-\w{6}\| squaring 7\n", line)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert err == (
        "Warning: no web function can be reached: the server does not listen for HTTP: start it with SWELL_WEB=1\n"
    )


def test_who_deployed_it_and_from_which_commit(started: Place) -> None:
    for command in (
        ["init", "-q"],
        ["add", "jobs.py"],
        ["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-qm", "first"],
    ):
        subprocess.run(["git", *command], cwd=started.folder, check=True, timeout=PATIENCE_S)
    started.told("deploy", "jobs.py", "--name", "committed", "--tag", "1.0")
    (row,) = started.json("app", "history", "committed")
    assert re.fullmatch(r"[0-9a-f]{7}", row["commit"])
    assert row["deployed_by"]
    assert row["client"].startswith("swell ")
    shown = started.told("app", "show", "committed")
    assert f"commit {row['commit']}, tag 1.0" in shown


def test_urls_of_web_functions_are_told_and_answer(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "data", web=True)
    place.environment |= {"SWELL_WEB_PORT": "0", "SWELL_ADMIN_PORT": "0"}
    write(place, "shop.py", SHOP)
    try:
        place.told("start")
        for told in (place.told("deploy", "shop.py"), place.told("deploy", "shop.py")):
            front = re.search(r"├── front: WSGI app => (http://127\.0\.0\.1:\d+/shop-front/)$", told, re.MULTILINE)
            assert front, told
            assert re.search(r"└── Desk: class, bell \(WSGI app\) => http://\S+/shop-desk-bell/$", told, re.MULTILINE)
            with urllib.request.urlopen(front[1], timeout=PATIENCE_S) as answer:
                assert answer.read() == b"open"
    finally:
        place.end()
