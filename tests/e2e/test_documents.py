"""One server, asked in three ways: `--json`, the HTTP API and the dashboard's stream show the same of everything."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from place import PATIENCE_S, Place

#: What changes from one question to the next, though nothing happens.
RESTLESS: Final = {"rate", "wait", "run", "reason", "busy_cores", "uptime_s"}


class Shown:
    """A small server, once everything on it has happened."""

    def __init__(self, place: Place) -> None:
        self.place = place
        status = place.json("status")
        self._address = urlsplit(status["admin_url"])
        self._token = Path(status["admin_token_file"]).read_text().strip()

    @contextmanager
    def get(self, path: str) -> Iterator[http.client.HTTPResponse]:
        assert self._address.hostname is not None
        connection = http.client.HTTPConnection(self._address.hostname, self._address.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            assert answer.status == 200
            yield answer
        finally:
            connection.close()

    def api(self, path: str) -> Any:
        """What the HTTP API answers."""
        with self.get(f"/api/v1{path}") as answer:
            return json.loads(answer.read())

    def live(self) -> Any:
        """The first snapshot of the stream."""
        return self.event("/live")

    def event(self, path: str) -> Any:
        """The data of the first event of a stream."""
        with self.get(path) as answer:
            return next(json.loads(line.removeprefix(b"data: ")) for line in answer if line.startswith(b"data: "))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("place")
    place = Place(folder, folder / "data", web=True)
    try:
        place.told("start")
        place.told("deploy", "jobs.py")
        place.python("print(swell.Function.from_name('jobs', 'square').spawn(3).get())")
        place.eventually(lambda: place.json("status")["web_url"])
        yield Shown(place)
    finally:
        place.end()


def still(value: Any) -> Any:
    """The same without what is restless, and with all times in one form: seconds, to the millisecond."""
    if isinstance(value, dict):
        return {name: still(each) for name, each in value.items() if name not in RESTLESS}
    if isinstance(value, list):
        return [still(each) for each in value]
    if isinstance(value, str) and value[:2] == "20" and "T" in value:
        value = datetime.fromisoformat(value).timestamp()
    return round(value, 3) if isinstance(value, float) else value


def agree(document: dict[str, Any], other: dict[str, Any], *, former: frozenset[str] = frozenset()) -> None:
    """Assert that one document has all the fields of another, and the same in them but in those of a former form."""
    assert document.keys() <= other.keys()
    assert {name: each for name, each in still(document).items() if name not in former} == {
        name: each for name, each in still(other).items() if name in document and name not in former
    }


def test_the_server(shown: Shown) -> None:
    api = shown.api("/status")
    agree(api, shown.place.json("status"))
    agree(shown.live()["server"], api)


def test_machines(shown: Shown) -> None:
    (api,) = shown.api("/nodes")["nodes"]
    (live,) = shown.live()["nodes"]
    agree(api, live)
    assert api.keys() == live.keys()
    (cli,) = shown.place.json("node", "list")
    agree(api, cli)
    detail = shown.api("/nodes/local")
    agree(api, detail)
    agree(detail, shown.place.json("node", "show", "local"))


def test_apps(shown: Shown) -> None:
    (api,) = shown.api("/apps")["apps"]
    (cli,) = shown.place.json("app", "list")
    (live,) = shown.live()["apps"]
    agree(api, cli, former=frozenset({"version"}))
    agree(api, live)
    detail = shown.api("/apps/jobs")
    agree(detail, shown.place.json("app", "show", "jobs"), former=frozenset({"functions"}))
    agree(api, detail["app"])


def test_versions(shown: Shown) -> None:
    (cli,) = shown.place.json("app", "history", "jobs")
    agree(shown.api("/apps/jobs")["live"], cli, former=frozenset({"version"}))


def test_functions(shown: Shown) -> None:
    api = shown.api("/apps/jobs")["functions"]
    cli = shown.place.json("app", "show", "jobs")["functions"]
    live = {function["function_id"]: function for function in shown.live()["functions"]}
    assert [function["name"] for function in api] == [function["name"] for function in cli]
    for function, by_cli in zip(api, cli, strict=True):
        agree(function, by_cli, former=frozenset({"held_back", "schedule", "settings"}))
        agree(function, live[function["function_id"]])
        detail = shown.api(f"/apps/jobs/functions/{function['name']}")
        agree(function, detail["function"])
        assert detail["autoscaler"] == live[function["function_id"]]["autoscaler"]
    assert any(function["web_urls"] for function in api)


def test_containers(shown: Shown) -> None:
    (api,) = shown.api("/containers")["containers"]
    (cli,) = shown.place.json("container", "list")
    (live,) = shown.live()["containers"]["rows"]
    agree(api, cli)
    agree(api, live)


def test_calls(shown: Shown) -> None:
    (listed,) = shown.api("/calls")["calls"]
    detail = shown.api(f"/calls/{listed['call_id']}")
    (live,) = shown.live()["calls"]
    agree(detail, shown.place.json("call", "show", detail["call_id"]), former=frozenset({"parent"}))
    agree(listed, detail | {"function": f"{detail['app_name']}.{detail['function_name']}"})
    agree({name: each for name, each in listed.items() if name != "function"}, live)


def test_stories(shown: Shown) -> None:
    (call,) = shown.api("/calls")["calls"]
    api = shown.api(f"/why/{call['call_id']}")
    cli = shown.place.json("why", call["call_id"])
    agree(api, cli)
    assert api.keys() == cli.keys()


def test_lines_of_logs(shown: Shown) -> None:
    cli = [json.loads(line) for line in shown.place.told("app", "logs", "jobs", "--json").splitlines()]
    api = shown.api("/apps/jobs/logs")["lines"]
    assert {line["text"] for line in api} >= {"squaring 3", "careful 3"}
    assert [still(line) for line in api] == [still(line) for line in cli]
    (live, *_) = shown.event("/live/logs?app=jobs")
    agree({name: each for name, each in api[0].items() if name != "text"}, live)
