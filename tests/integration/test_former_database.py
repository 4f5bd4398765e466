"""A data directory that the version before has written is opened by this one: nothing that was accepted is lost.

`data/write_former.py` has written it, and says what is in it.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon
from msgspec import msgpack
from patience import patience

DATA = Path(__file__).parent / "data"
KNOWN = json.loads((DATA / "former.json").read_text())
ENDED, WAITING = KNOWN["ended"], KNOWN["waiting"]
CENTURY_S = 100 * 365 * 86_400.0


def moved(value: Any, here: dict[str, str]) -> Any:
    """Return a record in which the places of the machine that wrote it are those of this one."""
    if isinstance(value, dict):
        return {key: moved(each, here) for key, each in value.items()}
    if isinstance(value, list):
        return [moved(each, here) for each in value]
    if isinstance(value, str):
        for there, name in here.items():
            value = value.replace(there, name)
    return value


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A server of this version on what the former has left; results are kept however long ago that was."""
    place = Daemon(tmp_path_factory.mktemp("former"), result_retention_s=CENTURY_S, web=1)
    place.data_dir.mkdir(mode=0o700)
    with tarfile.open(DATA / "former.tar.gz") as archive:
        archive.extractall(place.data_dir, filter="data")
    (place.data_dir / "blobs").chmod(0o700)
    here = {KNOWN["interpreter"]: sys.executable, KNOWN["folder"]: str(place.folder)}
    with sqlite3.connect(place.data_dir / "swell.db") as database:
        for row, record in database.execute("SELECT rowid, record FROM deployments").fetchall():
            value = msgpack.encode(moved(msgpack.decode(record), here))
            database.execute("UPDATE deployments SET record = ? WHERE rowid = ?", (value, row))
    database.close()
    (place.folder / "open").touch()  # what waited for it ends
    try:
        place.told("start")
        yield place
    finally:
        place.end()


def result(place: Daemon, call: str, shown: str = "value") -> str:
    """Return what a call came to, as a program shows it."""
    seconds = patience(50.0)
    return place.python(
        f"try:\n    value = swell.FunctionCall.from_id({call!r}).get(timeout={seconds})\n    print({shown})\n"
        "except Exception as error:\n    print(repr(error))"
    )


@pytest.mark.parametrize(
    ("name", "shown", "value"),
    [
        ("small", "value", "42"),
        ("large", "value == b'x' * 2_000_000", "True"),
        ("failure", "value", "KeyError('bad')"),
        ("serialized", "value", "42"),
        ("variant", "value", "fr: chat"),
        ("options", "value", "8"),
        ("json", "value", "16"),
    ],
)
def test_results_are_there(former: Daemon, name: str, shown: str, value: str) -> None:
    assert result(former, ENDED[name], shown) == value


def test_results_of_many_inputs_are_there(former: Daemon) -> None:
    program = f"print(list(swell.FunctionCall.from_id({ENDED['many']!r}).iter()) == [2 * x for x in range(300)])"
    assert former.python(program) == "True"


def test_a_cancelled_call_stays_cancelled(former: Daemon) -> None:
    assert "cancelled" in result(former, ENDED["cancelled"])


def test_what_waited_is_run_and_nothing_twice(former: Daemon) -> None:
    half = f"print([*swell.FunctionCall.from_id({WAITING['half']!r}).iter()] == [(2, x) for x in range(100)])"
    assert former.python(half) == "True"
    assert result(former, WAITING["behind"]) == "(2, 99)"
    assert result(former, WAITING["pinned"]) == "(1, 60)", "of the version that it was pinned to"
    assert result(former, WAITING["retried"]) == "again"
    assert result(former, WAITING["late_variant"]) == "fr: late"
    assert result(former, WAITING["late_large"], "value == (b'x' * 1_000_000,)") == "True"
    assert result(former, WAITING["late_json"]) == "[2, 96]"
    noted = former.noted()
    assert "wait-50" in noted
    assert "wait-49" not in noted, "it had a result"
    assert noted.count("unsteady-again") == 1, "its first attempt was before"


@pytest.mark.parametrize("call", [ENDED["objects"], WAITING["late_objects"]], ids=["result", "arguments"])
def test_objects_of_the_sdk_in_arguments_and_results_are_read(former: Daemon, call: str) -> None:
    assert result(former, call, "[type(each).__name__ for each in value]") == "['Retries', 'Secret']"


def test_the_app_has_its_versions_and_its_schedule(former: Daemon) -> None:
    history = json.loads(former.told("app", "history", "former", "--json"))
    assert [each["version"] for each in history] == ["v2", "v1"]
    shown = json.loads(former.told("app", "show", "former", "--json"))
    assert shown["tags"] == {"team": "blue"}
    assert "nightly" in {each["name"] for each in shown["functions"] if each["schedule"]}


def test_settings_that_were_changed_at_run_time_are_in_force(former: Daemon) -> None:
    program = """
Translator = swell.Cls.from_name("former", "Translator")
print(
    swell.Function.from_name("former", "double").autoscaler.settings().max_containers,
    Translator(language="fr").autoscaler.settings().buffer_containers,
    Translator(language="de").autoscaler.settings().buffer_containers,
)
"""
    assert former.python(program) == "3 2 0"


def test_functions_serve_new_calls(former: Daemon) -> None:
    program = "print(swell.Function.from_name('former', 'double').remote(3))"
    assert former.python(program) == "6"
    if sys.version_info[:2] == tuple(map(int, KNOWN["python"].split(".")[:2])):  # bytecode is of one Python
        assert former.python("print(swell.Function.from_name('former', 'adds').remote(1))") == "3"


def test_web_functions_answer(former: Daemon) -> None:
    url = former.python("print(swell.Function.from_name('former', 'site').get_web_url())")
    with urllib.request.urlopen(url, timeout=patience(50.0)) as answer:
        assert answer.read() == b"from the site"
