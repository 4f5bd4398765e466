"""What the dashboard fetches, by HTTP alone: its files, and logs as they are written."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil
import pytest
from patience import wait_until
from place import PATIENCE_S, Place

PROGRAM = """
import swell

app = swell.App("noise")

@app.function()
def say(text: str) -> None:
    print(text)

@app.function()
def flood(count: int) -> None:
    for n in range(count):
        print(n, "x" * 4_000, flush=True)
"""


class Reader:
    """Somebody who asks the admin port."""

    def __init__(self, place: Place) -> None:
        self.place = place
        status = place.eventually(lambda: (told := place.json("status"))["admin_url"] and told)
        self.pid: int = status["pid"]
        self._address = urlsplit(status["admin_url"]).netloc
        self._token = Path(status["admin_token_file"]).read_text().strip()

    @contextmanager
    def get(self, path: str, *, token: bool = True, **headers: str) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._address, timeout=PATIENCE_S)
        if token:
            headers["authorization"] = f"Bearer {self._token}"
        try:
            connection.request("GET", path, headers=headers)
            yield connection.getresponse()
        finally:
            connection.close()

    @contextmanager
    def follow(self, **query: str) -> Iterator[Iterator[tuple[str, Any]]]:
        with self.get(f"/live/logs?{urlencode(query)}") as answer:
            assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
            yield events(answer)


def events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Yield server-sent events by name; comments, which only keep the connection alive, are left out."""
    name = ""
    for line in answer:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("place")
    place = Place(folder, folder / "data", web=True)
    (folder / "noise.py").write_text(PROGRAM)
    try:
        place.told("start")
        place.told("deploy", "noise.py")
        yield Reader(place)
    finally:
        place.end()


def call(reader: Reader, function: str, argument: object) -> None:
    reader.place.python(f"swell.Function.from_name('noise', {function!r}).remote({argument!r})")


def test_the_page_may_load_nothing_from_elsewhere_and_names_files_that_never_change(reader: Reader) -> None:
    with reader.get("/") as answer:
        page = answer.read().decode()
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-cache"
    names = [part.partition('"')[0] for part in page.split("/assets/")[1:]]
    assert {name.rpartition(".")[2] for name in names} == {"js", "css", "svg"}
    for name in names:
        with reader.get(f"/assets/{name}", token=False, **{"accept-encoding": "gzip"}) as answer:
            assert answer.status == 200 and "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-encoding"] == "gzip"
    with reader.get("/assets/nothing.js") as answer:
        assert answer.status == 404


def test_the_page_is_small(reader: Reader) -> None:
    with reader.get("/") as answer:
        names = [part.partition('"')[0] for part in answer.read().decode().split("/assets/")[1:]]
    size = 0
    for name in names:
        with reader.get(f"/assets/{name}", **{"accept-encoding": "gzip"}) as answer:
            size += len(answer.read())
    assert size <= 60_000


def test_logs_are_not_for_everybody(reader: Reader) -> None:
    with reader.get("/live/logs?app=noise", token=False) as answer:
        assert answer.status == 401
    with reader.get("/") as answer:
        assert answer.status == 200
    with reader.get("/", token=False, accept="text/html") as answer:
        assert answer.status == 401 and b"swell dashboard" in answer.read()


def test_lines_come_as_they_are_written(reader: Reader) -> None:
    call(reader, "say", "before")
    with reader.follow(app="noise", function="say") as told:
        name, lines = next(told)
        assert name == "lines" and "before" in [line["text"] for line in lines]
        call(reader, "say", "now")
        name, lines = next(told)
        assert name == "lines"
        (line,) = lines
        assert (line["text"], line["function"], line["stream"]) == ("now", "say", "stdout")
        assert line["container"].startswith("ta-") and line["calls"]


def test_what_is_followed_must_be_named_and_be_there(reader: Reader) -> None:
    with reader.get("/live/logs") as answer:
        assert answer.status == 422
    with reader.follow(app="nothing") as told:
        name, why = next(told)
        assert name == "over" and "nothing" in why


def test_who_does_not_read_in_time_is_told_how_much_was_skipped(reader: Reader) -> None:
    with reader.follow(app="noise", function="flood") as told:
        call(reader, "flood", 8_000)  # 32 MB, of which sockets hold a few while nobody reads
        skipped, shown = 0, set[int]()
        while 7_999 not in shown:
            name, what = next(told)
            if name == "skipped":
                skipped += what
            else:
                shown |= {int(line.split(" ")[0]) for entry in what for line in entry["text"].split("\n") if line}
        assert skipped > 0 and len(shown) < 8_000


def test_who_leaves_leaves_no_connection_to_the_server(reader: Reader) -> None:
    def connections() -> int:
        return len(psutil.Process(reader.pid).net_connections(kind="unix"))

    with reader.follow(app="noise"):
        during = connections()
    wait_until(
        lambda: connections() < during, "the server still has the connection of a reader that left", pause_s=0.05
    )
