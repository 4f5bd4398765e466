"""Requests to the admin port with what makes parsers fail in every place: none is a defect, and none costs memory."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec
import psutil
import pytest
from place import PATIENCE_S, Place

from swell.edge.admin.api.operation import PREFIX, Operation
from swell.edge.admin.api.table import OPERATIONS

ROUNDS = 60  #: requests of each operation
GROWTH_MAX = 64 << 20

PROGRAM = """
import swell
app = swell.App("shop")

@app.function()
def echo(*args, **kwargs):
    return [args, kwargs]

@app.function()
def count(n=2, *rest):
    yield 1

@app.cls()
class Model:
    size: str = swell.parameter(default="small")
    key: bytes = swell.parameter(default=b"")
    number: int = swell.parameter(default=1)
    flag: bool = swell.parameter(default=False)

    @swell.method()
    def predict(self, *text):
        return self.size
"""

NUMBERS = [
    *("0", "-1", "1", "²", "\u0661", "1e309", "nan", "NaN", "inf", "-inf", "Infinity", "0x10", "1_0", " 1", "1 "),
    *("9" * 20, str(2**63), str(2**63 - 1), str(-(2**63) - 1), str(2**64), "9" * 5_000, "1.5", "1e400", "", "true"),
]
TIMES = [
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:60Z",
    "1e9",
]
TEXTS = [
    *(
        "",
        "shop",
        "echo",
        "count",
        "Model",
        "Model.predict",
        "Model.",
        ".",
        "..",
        "*",
        "%",
        "%00",
        "%zz",
        "%c3",
        "%ed%a0%80",
    ),
    *(
        "in-x:0",
        "in-:",
        "fc-0",
        "ta-0",
        "fu-0",
        "shop.echo",
        "shop..",
        "a" * 10_000,
        "\\ud800",
        "&",
        "=",
        "#",
        "é",
        "\x7f",
    ),
    *(
        "'; drop table calls",
        "<script>",
        "null",
        "[",
        "{",
        "\\",
        "stdout",
        "fc-" + "0" * 22,
        "\u202e",
        "../../etc/passwd",
    ),
]
BODIES = [
    *("", "{", "}", "[]", "null", "NaN", '{"args": NaN}', '{"args": [Infinity]}', '{"args": [1e999]}', '"\\ud800"'),
    *('{"args": ["\\ud800"]}', '{"a": ' + "9" * 5_000 + "}", '{"args": [' + "9" * 5_000 + "]}", '{"kwargs": {"": 1}}'),
    *("[" * 100_000, '{"args":' + "[" * 100_000, '{"args":' * 10_000, '{"args": [' + "[],[],".rstrip(",") * 2 + "]}"),
    *(
        '{"args": [1], "args": [2]}',
        '{"kwargs": {"\\u0000": "\\u0000"}}',
        "\ufeff{}",
        '{"parameters": {"number": 1e400}}',
    ),
    *(f'{{"parameters": {{"number": {number}}}}}' for number in (2**63, -(2**64), "9" * 400, "1.5", "true", "null")),
    *(f'{{"parameters": {{"key": "{text}"}}}}' for text in ("===", "YWI", "\\u00e9", "a" * 10_000)),
    *(f'{{"parameters": {{"size": {text}}}}}' for text in ('"\\udfff"', '"' + "x" * 10_000 + '"', "[]", "{}", "1")),
    *(f'{{"max_containers": {number}}}' for number in (0, -1, 2**63, "1e3", "null", '"1"', "1.0")),
    *(
        '{"graceful": 1}',
        '{"terminate_containers": "no"}',
        '{"graceful": false}',
        '{"min_containers": 5, "max_containers": 1}',
        '{"deadline_s": 1e309}',
        '{"deadline_s": -1}',
        '{"deadline_s": 1e9}',
    ),
]
THERE = {
    "{app}": ["shop"],
    "{function}": ["echo", "echo", "count", "Model.predict", "Model"],
    "{call_id}": ["fc-" + "0" * 22],
    "{container_id}": ["ta-0"],
    "{about}": ["shop.echo", "shop.Model"],
    "{node}": ["local"],
}
HEADERS = {
    "Host": [
        "localhost:²",
        "[::1",
        "localhost:99999",
        "a@localhost",
        "localhost",
        "\xff",
        "[::%25eth0]",
        "127.0.0.1:",
        "xn--",
    ],
    "Origin": [
        "http://[",
        "http://[::1",
        "null",
        "",
        "http://localhost:²",
        "//",
        "http://localhost",
        "\xe9",
        "http://]",
    ],
    "Cookie": [
        "swell_session",
        "swell_session=\xff",
        "=;=;",
        '"',
        "swell_session=" + "x" * 9_000,
        ";" * 5_000,
        "a=\\042" * 500,
    ],
    "Accept": ["*", ";q=", "text/html;q=\xb2", "," * 5_000, "text/html"],
    "Accept-Encoding": ["gzip;q=²".encode().decode("latin-1"), "identity;q=0", ","],
    "Authorization": ["Bearer", "bearer \xff", "Basic !!!", "Bearer " + "x" * 9_000, "\t"],
    "Content-Type": [
        "",
        "application/json; charset=\xff",
        "application/json; charset=utf-7",
        "multipart/form-data",
        ";",
    ],
    "Range": ["bytes=-1", "bytes=" + "9" * 5_000 + "-", "bytes=0-0," * 900, "²"],
    "Last-Event-ID": ["²", "\xff", "9" * 5_000],
    "If-None-Match": ["*", '"' * 500],
    "Sec-Fetch-Site": ["cross-site", "none", "\xff"],
    "X-Forwarded-Host": ["[", "a,b,", "\xff"],
    "X-Forwarded-Proto": ["https", ",", "\xff"],
    "Expect": ["100-continue", "200-ok"],
    "Upgrade": ["websocket", "h2c", ","],
    "Connection": ["upgrade", "keep-alive, upgrade", "\xb2"],
    "Transfer-Encoding": ["chunked", "gzip", "chunked, chunked", "\xb2"],
    "Content-Length": ["²".encode().decode("latin-1"), "-1", "+1", "1, 1", "9" * 30, "9" * 5_000, "0x1", "1_0", "0"],
}
PAGES = [
    "/",
    "/login",
    "/login?token=",
    "/assets/",
    "/healthz",
    "/live",
    "/live/history",
    "/live/logs",
    "/metrics",
    "/logout",
]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND", "X" * 300]


class Edge:
    """The admin port of a daemon, and the process behind it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        status = place.eventually(lambda: (told := place.json("status"))["admin_url"] and told)
        parts = urlsplit(status["admin_url"])
        self.address = (parts.hostname, parts.port)
        self.token = Path(status["admin_token_file"]).read_text().strip()
        server = psutil.Process(status["pid"])
        self.process = next(each for each in server.children() if "swell.edge.main" in each.cmdline())

    def send(self, request: bytes) -> bytes:
        """Send a request; return what comes within a moment, or until the connection ends."""
        with socket.create_connection(self.address, PATIENCE_S) as client:
            client.sendall(request)
            answer = client.recv(1 << 16)
            if not answer.startswith(b"HTTP/1.1 100"):
                return answer
            return answer + client.recv(1 << 16)

    def log(self) -> str:
        return (self.place.data_dir / "server.log").read_text()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("place")
    place = Place(folder, folder / "data", web=True)
    place.environment |= {"SWELL_ADMIN_PORT": "0", "SWELL_WEB_PORT": "0", "SWELL_WEB_HEAD_TIMEOUT_S": "0.3"}
    (folder / "shop.py").write_text(PROGRAM)
    try:
        place.told("start")
        place.told("deploy", "shop.py")
        yield Edge(place)
    finally:
        place.end()


class Fuzz:
    """Makes requests, from a seed."""

    def __init__(self, seed: str, token: str) -> None:
        self._random = random.Random(seed)
        self._token = token

    def _text(self) -> str:
        text = self._random.choice(
            (self._random.choice(TEXTS), self._random.choice(NUMBERS), self._random.choice(TIMES))
        )
        return text if self._random.random() < 0.3 and text.isascii() and text.isprintable() else quote(text, safe="%")

    def _path(self, template: str) -> str:
        parts = (self._part(part) if part.startswith("{") else part for part in template.split("/"))
        return PREFIX + "/".join(parts)

    def _part(self, name: str) -> str:
        """What there is, most often: else nothing behind the look-up would ever be reached."""
        return self._random.choice(THERE[name]) if self._random.random() < 0.8 else self._text()

    def _query(self, names: list[str]) -> str:
        known = names or ["nothing"]
        chosen = self._random.sample(known, self._random.randrange(min(4, len(known) + 1)))
        chosen += [self._random.choice([*known, "nothing"])] if self._random.random() < 0.1 else []
        return "&".join(f"{name}={self._text()}" for name in chosen)

    def _headers(self, body: bytes) -> list[str]:
        given = {"Host": "localhost", "Authorization": f"Bearer {self._token}", "Connection": "close"}
        if body:
            given |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name in self._random.sample(list(HEADERS), self._random.choice((0, 0, 0, 1, 1, 2, 5))):
            given[name] = self._random.choice(HEADERS[name])
        return [f"{name}: {value}" for name, value in given.items()]

    def request(self, method: str, target: str, body: str = "") -> bytes:
        data = body.encode("utf-8", "surrogatepass")
        target = target.replace(" ", "%20")
        return "\r\n".join([f"{method} {target} HTTP/1.1", *self._headers(data), "", ""]).encode("latin-1") + data

    def of(self, operation: Operation) -> bytes:
        names = [field.name for field in msgspec.structs.fields(operation.query)]
        target, query = self._path(operation.path), self._query(names)
        body = self._random.choice(BODIES) if operation.body or self._random.random() < 0.1 else ""
        return self.request(operation.method, f"{target}?{query}" if query else target, body)

    def of_page(self) -> bytes:
        page = self._random.choice(PAGES)
        query = self._query(["token", "function", "app", "container", "call"])
        body = self._random.choice(BODIES) if self._random.random() < 0.2 else ""
        return self.request(self._random.choice(METHODS), f"{page}?{query}" if query else page + self._text(), body)


def check(edge: Edge, request: bytes) -> None:
    answer = edge.send(request)
    if answer:  # else the connection was closed: it was not HTTP, or asked nothing
        status = int(answer.rpartition(b"HTTP/1.1 ")[2][:3])
        # A coding of the body that is not known is answered with 501.
        assert status < 500 or (status == 501 and b"Transfer-Encoding" in request), (request[:2_000], answer[:2_000])


def check_all(edge: Edge, requests: Iterator[bytes]) -> None:
    before, began = edge.process.memory_info().rss, len(edge.log())
    for request in requests:
        check(edge, request)
    written = edge.log()[began:]
    assert "Traceback" not in written, written
    assert edge.process.is_running()
    deadline = time.monotonic() + PATIENCE_S
    while edge.process.memory_info().rss - before > GROWTH_MAX:
        assert time.monotonic() < deadline, "it does not give memory back"
        time.sleep(0.1)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_answers_whatever_it_is_asked(edge: Edge, operation: Operation) -> None:
    fuzz = Fuzz(operation.name, edge.token)
    check_all(edge, (fuzz.of(operation) for _ in range(ROUNDS)))
    if operation.path == "/nodes/{node}/drain":
        edge.place.told("node", "resume", "local")  # other operations want containers


@pytest.mark.timeout(240)
def test_every_other_page_answers_whatever_it_is_asked(edge: Edge) -> None:
    fuzz = Fuzz("pages", edge.token)
    check_all(edge, (fuzz.of_page() for _ in range(5 * ROUNDS)))
