"""The HTTP API as programs of any language use it: on the daemon, by HTTP and JSON alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from patience import wait_until
from place import PATIENCE_S, Place

from swell.edge.admin.api.table import OPERATIONS

PROGRAM = """
import os, sys, time
from pathlib import Path
import swell

app = swell.App("sums")

@app.function()
def add(x, y=0):
    print("adding", x, y)
    return x + y

@app.function()
def pair(x):
    return x, {"of": x}

@app.function()
def fail(x=0):
    raise KeyError(x)

@app.function()
def unfit():
    return {"items": [1, object()]}

@app.function()
def text_of(size):
    return "ü" * size

@app.function(timeout=3_000, max_containers=1)
def nap(mark):
    Path(mark).touch()
    try:
        time.sleep(1_000)
    finally:
        Path(mark).with_suffix(".left").touch()

@app.function(timeout=1, startup_timeout=300)
def slow():
    time.sleep(100)

@app.function()
def count(n, mark=""):
    try:
        for i in range(n):
            yield {"i": i}
        if mark:
            time.sleep(1_000)
        if n == 3:
            raise ValueError("three")
    finally:
        if mark:
            Path(mark).touch()

class Trap:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)

@app.function()
def trap(mark):
    return Trap(mark)

@app.function()
@swell.batched(max_batch_size=8, wait_ms=50)
def doubled(xs: list[int]) -> list[int]:
    return [2 * x for x in xs]

@app.function()
@swell.asgi_app()
def site():
    raise AssertionError("nobody asks")

@app.cls()
class Model:
    size: str = swell.parameter(default="small")
    key: bytes = swell.parameter(default=b"")

    @swell.method()
    def predict(self, text):
        return [self.size, self.key.decode(), text]
"""


class Api:
    """What a program knows: where the API is, and the token."""

    def __init__(self, place: Place) -> None:
        self.place = place
        wait_until(lambda: place.json("status")["admin_url"], lambda: place.json("status"), pause_s=0.05)
        status = place.json("status")
        self.url = status["admin_url"]
        self.token_file = Path(status["admin_token_file"])
        self.token = self.token_file.read_text()

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        assert parts.hostname
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)

    def send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str
    ) -> None:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body, ensure_ascii=False).encode()
        given = {"authorization": f"Bearer {self.token}"}
        if data is not None:
            given["content-type"] = "application/json"
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, data, given)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the body of an answer."""
        with contextlib.closing(self.connect()) as connection:
            self.send(connection, method, f"/api/v1{path}", body, **headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def get(self, path: str) -> Any:
        status, body = self.ask("GET", path)
        assert status == 200, body
        return body

    def run(self, function: str, *args: Any, how: str = "call", **also: Any) -> Any:
        status, body = self.ask("POST", f"/apps/sums/functions/{function}/{how}", {"args": args, **also})
        assert status == (202 if how == "spawn" else 200), body
        return body

    def refused(self, status: int, method: str, path: str, body: Any = None, **headers: str) -> str:
        """Return what a request is refused with; the status and the code are checked."""
        got, answer = self.ask(method, path, body, **headers)
        assert got == status, answer
        assert answer.keys() == {"error"}
        assert answer["error"].keys() >= {"code", "message"}
        return f"{answer['error']['code']}: {answer['error']['message']}"

    def blobs(self) -> list[Path]:
        """Files with arguments and results of calls that somebody waits for."""
        run_dir = json.loads((self.place.data_dir / "server.json").read_text())["run_dir"]
        return [path for path in Path(run_dir).rglob("fc-*") if "kept" not in path.parts]

    def results(self, call_id: str, query: str = "wait_s=20") -> Any:
        return self.get(f"/calls/{call_id}/results?{query}")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("place")
    place = Place(folder, folder / "data", web=True)
    place.environment |= {"SWELL_ADMIN_RESULT_MAX": "1000000", "SWELL_PENDING_SYNC_MAX": "8"}
    (folder / "sums.py").write_text(PROGRAM)
    shutil.copy(repository / "examples/deployed.py", folder)
    try:
        place.told("start")
        place.told("deploy", "sums.py")
        place.told("deploy", "deployed.py")
        yield Api(place)
    finally:
        place.end()


def wait_for(path: Path) -> None:
    wait_until(path.exists, f"{path.name} was never made")


# ---------------------------------------------------------------- calls


def test_a_function_is_called_by_name(api: Api) -> None:
    for _ in range(3):
        answer = api.run("add", 1, kwargs={"y": 0.5})
        assert re.fullmatch(r"fc-[0-9a-f]{22}", answer.pop("call_id"))
        assert answer == {"index": 0, "status": "success", "value": 1.5}
    assert api.run("pair", "ü\u0000")["value"] == ["ü\0", {"of": "ü\0"}]
    assert api.run("add", [1], kwargs={"y": [None, True, 10**30]})["value"] == [1, None, True, 10**30]


def test_a_method_is_called_with_the_parameters_of_its_instance(api: Api) -> None:
    assert api.run("Model.predict", "hi")["value"] == ["small", "", "hi"]
    parameters = {"size": "large", "key": "YWI="}
    assert api.run("Model.predict", "hi", parameters=parameters)["value"] == ["large", "ab", "hi"]
    path = "/apps/sums/functions/Model.predict/call"
    assert "no parameter 'sizes'" in api.refused(422, "POST", path, {"parameters": {"sizes": "large"}})
    assert "Expected str, got int" in api.refused(422, "POST", path, {"parameters": {"size": 1}})
    assert "base64" in api.refused(422, "POST", path, {"parameters": {"key": "a"}})
    assert "has no method" in api.refused(404, "POST", "/apps/sums/functions/Model.nothing/call", {})


def test_what_the_function_raises_is_an_answer(api: Api) -> None:
    answer = api.run("fail", kwargs={"x": 7})
    assert answer["status"] == "failure"
    assert answer["exception"]["type"] == "KeyError"
    assert answer["exception"]["message"] == "7"
    assert "in fail" in answer["exception"]["traceback"]
    assert "value" not in answer
    assert api.run("slow")["status"] == "timeout"
    assert "at $.items[1] cannot be sent as JSON" in api.run("unfit")["exception"]["message"]
    assert "unexpected keyword argument" in api.run("add", kwargs={"z": 1})["exception"]["message"]


def test_large_arguments_and_results(api: Api) -> None:
    text = "ü" * 200_000
    assert api.run("add", text, kwargs={"y": "!"})["value"] == f"{text}!"
    assert api.run("text_of", 300_000)["value"] == "ü" * 300_000
    too_large = api.run("text_of", 600_000)
    assert too_large["status"] == "success"
    assert "admin_result_max" in too_large["omitted"]
    assert "value" not in too_large
    assert "admin_body_max" in api.refused(413, "POST", "/apps/sums/functions/add/call", {"args": ["x" * (1 << 20)]})
    assert api.blobs() == [], "files of calls that were answered are gone"


def test_a_generator_streams_lines(api: Api) -> None:
    connection = api.connect()
    mark = api.place.folder / "streamed"
    body = {"args": [2, str(mark)]}
    api.send(connection, "POST", "/api/v1/apps/sums/functions/count/stream", body)
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("content-type") == "application/x-ndjson"
    assert [json.loads(answer.readline()) for _ in range(2)] == [{"item": {"i": 0}}, {"item": {"i": 1}}]
    assert not mark.exists(), "it has not ended: items come as they are yielded"
    answer.close()
    connection.close()
    wait_for(mark)

    api.send(connection := api.connect(), "POST", "/api/v1/apps/sums/functions/count/stream", {"args": [3]})
    *items, end = [json.loads(line) for line in connection.getresponse().read().splitlines()]
    connection.close()
    assert items == [{"item": {"i": i}} for i in range(3)]
    assert end["end"]["status"] == "failure"
    assert end["end"]["items"] == 3
    assert end["end"]["exception"]["message"] == "three"


def test_many_items_come_in_order(api: Api) -> None:
    api.send(connection := api.connect(), "POST", "/api/v1/apps/sums/functions/count/stream", {"args": [5_000]})
    *items, end = [json.loads(line) for line in connection.getresponse().read().splitlines()]
    connection.close()
    assert [item["item"]["i"] for item in items] == list(range(5_000))
    assert end == {"end": {"status": "success", "items": 5_000}}


def test_a_call_ends_when_its_caller_leaves(api: Api) -> None:
    mark = api.place.folder / "nap"
    connection = api.connect()
    api.send(connection, "POST", "/api/v1/apps/sums/functions/nap/call", {"args": [str(mark)]})
    wait_for(mark)
    connection.close()
    wait_for(mark.with_suffix(".left"))


def test_calls_over_http_share_batches(api: Api) -> None:
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda x: api.run("doubled", x)["value"], range(8)))
    assert answers == [2 * x for x in range(8)]


def test_what_does_not_fit_the_function_is_a_conflict(api: Api) -> None:
    for function, how, why in [
        ("count", "call", "is a generator"),
        ("count", "spawn", "is a generator"),
        ("add", "stream", "is not a generator"),
        ("site", "call", "is a web function"),
    ]:
        told = api.refused(409, "POST", f"/apps/sums/functions/{function}/{how}", {})
        assert told.startswith("ConflictError") and why in told
    assert "has no parameters" in api.refused(422, "POST", "/apps/sums/functions/add/call", {"parameters": {"x": 1}})


def test_too_many_that_wait_are_refused_and_told_when_to_come_again(api: Api) -> None:
    mark = api.place.folder / "crowd"
    connections = [api.connect() for _ in range(9)]
    body = {"args": [str(mark)]}
    try:
        api.send(connections[0], "POST", "/api/v1/apps/sums/functions/nap/call", body)
        wait_for(mark)
        for connection in connections[1:]:
            api.send(connection, "POST", "/api/v1/apps/sums/functions/nap/call", body)
        wait_until(lambda: api.get("/apps/sums/functions/nap")["backlog"] >= 8, "fewer calls wait than were made")
        large = {"args": ["x" * 200_000]}
        api.send(extra := api.connect(), "POST", "/api/v1/apps/sums/functions/nap/call", large)
        answer = extra.getresponse()
        told = json.loads(answer.read())["error"]
        extra.close()
        assert answer.status == 429
        assert answer.getheader("retry-after") == "1"
        assert (told["code"], told["limit"], told["value"]) == ("ResourceExhausted", "pending_sync_max", 8)
        assert api.blobs() == [], "its arguments are gone with it"
    finally:
        for connection in connections:
            connection.close()


# ---------------------------------------------------------------- spawned calls


def test_a_version_is_called(api: Api) -> None:
    path = "/apps/sums/functions/add/call"
    assert api.ask("POST", f"{path}?version=1", {"args": [1]})[1]["value"] == 1
    assert "version" in api.refused(404, "POST", f"{path}?version=99", {"args": [1]})
    assert api.refused(422, "POST", f"{path}?version=0", {"args": [1]})


def test_results_of_a_spawned_call_are_read_as_often_as_you_like(api: Api) -> None:
    call_id = api.run("pair", 4, how="spawn")["call_id"]
    one = {"call_id": call_id, "index": 0, "status": "success", "value": [4, {"of": 4}]}
    page = {"call_id": call_id, "num_inputs": 1, "results": [one], "missing": 0}
    assert api.results(call_id) == page
    assert api.results(call_id, "wait_s=0") == page
    assert api.results(call_id, "first=1") == page | {"results": []}
    detail = api.get(f"/calls/{call_id}")
    assert (detail["state"], detail["kind"], detail["done"]) == ("ended", "spawn", 1)
    assert api.place.python(f"print(swell.FunctionCall.from_id('{call_id}').get())") == "[4, {'of': 4}]"


def test_python_reads_large_results_and_exceptions_of_calls_made_by_http(api: Api) -> None:
    large = api.run("text_of", 200_000, how="spawn")["call_id"]
    failed = api.run("fail", 1, how="spawn")["call_id"]
    assert api.results(large)["results"][0]["value"] == "ü" * 200_000
    told = api.place.python(f"""
print(len(swell.FunctionCall.from_id({large!r}).get()))
try:
    swell.FunctionCall.from_id({failed!r}).get()
except swell.exception.RemoteError as error:
    print(error)
""")
    assert told.startswith("200000\nthe function raised KeyError: 1")
    assert "in fail" in told


def test_a_call_that_python_made_is_told_about_without_unpickling(api: Api) -> None:
    pickled, failed = api.place.python(
        "add = swell.Function.from_name('sums', 'add')\nprint(add.spawn_map([1, 2]).object_id)\n"
        "print(swell.Function.from_name('sums', 'fail').spawn(5).object_id)"
    ).split()
    page = api.results(pickled)
    assert [result["status"] for result in page["results"]] == ["success", "success"]
    assert all("FunctionCall" in result["omitted"] for result in page["results"])
    (failure,) = api.results(failed)["results"]
    assert failure["exception"]["message"] == "KeyError: 5"
    assert "in fail" in failure["exception"]["traceback"]


def test_reading_a_result_runs_nothing(api: Api) -> None:
    """What a pickle does when it is read happens in the program that wants it, and not where HTTP is spoken."""
    mark = api.place.folder / "sprung"
    call_id = api.place.spawn("trap", str(mark), app="sums")
    (result,) = api.results(call_id)["results"]
    assert result["status"] == "success"
    assert not mark.exists()
    api.place.python(f"swell.FunctionCall.from_id({call_id!r}).get()")
    assert mark.exists()


def test_who_waits_for_results_gets_them_when_they_are_there(api: Api) -> None:
    mark = api.place.folder / "waited"
    call_id = api.run("nap", str(mark), how="spawn")["call_id"]
    assert api.results(call_id, "wait_s=0") == {"call_id": call_id, "num_inputs": 1, "results": [], "missing": 1}
    assert api.results(call_id, "wait_s=0.1")["missing"] == 1
    with ThreadPoolExecutor() as readers:
        waiting = readers.submit(api.results, call_id)
        wait_for(mark)
        status, detail = api.ask("POST", f"/calls/{call_id}/cancel")
        assert status == 200
        assert detail["call_id"] == call_id
        (result,) = waiting.result()["results"]
    assert result["status"] == "terminated"
    assert api.ask("POST", f"/calls/{call_id}/cancel", {})[0] == 200, "harmless"


def test_unknown_calls(api: Api) -> None:
    for method, path in [
        ("GET", "/calls/fc-0000000000000000000000"),
        ("GET", "/calls/nonsense/results"),
        ("POST", "/calls/fc-0000000000000000000000/cancel"),
    ]:
        assert api.refused(404, method, path).startswith("NotFoundError")


# ---------------------------------------------------------------- what there is, and settings


def test_apps_functions_containers_logs_and_stories(api: Api) -> None:
    call_id = api.run("add", 40, kwargs={"y": 2}, how="spawn")["call_id"]
    api.results(call_id)
    assert {app["name"] for app in api.get("/apps")["apps"]} == {"sums", "deployed"}
    detail = api.get("/apps/sums")
    assert detail["live"]["version"] == detail["app"]["version"] == 1
    assert {"add", "Model"} <= {function["name"] for function in detail["functions"]}
    containers = api.get("/containers?app=sums")["containers"]
    its = next(container for container in containers if container["function_name"] == "add")
    lines = wait_until(lambda: api.get(f"/apps/sums/logs?call={call_id}")["lines"], "no line was kept", pause_s=0.02)
    assert [(line["text"], line["stream"], line["function_name"]) for line in lines] == [
        ("adding 40 2", "stdout", "add")
    ]
    assert len(api.get("/apps/sums/logs?tail=2")["lines"]) <= 2
    assert api.get("/apps/sums/logs?until=2001-01-01T00:00:00Z")["lines"] == []
    assert "time with its zone" in api.refused(422, "GET", "/apps/sums/logs?since=yesterday")
    (call,) = [call for call in api.get("/calls?app=sums&function=add")["calls"] if call["call_id"] == call_id]
    assert (call["function"], call["kind"], call["num_inputs"], call["done"]) == ("sums.add", "spawn", 1, 1)
    assert call["ended_at"] > call["opened_at"]
    assert api.get("/calls?app=deployed&function=add") == {"calls": []}
    node = next(node for node in api.get("/nodes")["nodes"] if node["name"] == its["node"])
    assert node["cores"] >= 1 and node["memory_bytes"] > node["memory_used_bytes"] > 0
    shown = api.get(f"/nodes/{node['name']}")
    assert {row["node"] for row in shown["on_it"]} == {node["name"]}
    assert its["container_id"] in {row["container_id"] for row in shown["on_it"]}
    assert "there is no node 'attic'" in api.refused(404, "GET", "/nodes/attic")
    story = api.get(f"/why/{call_id}")
    assert story["state"] == "ended"
    assert any("succeeded" in event["text"] for event in story["events"])
    assert "add" in api.get("/why/sums.add")["title"]
    assert "No App" in api.refused(404, "GET", "/apps/none")
    assert "has no function 'none'" in api.refused(404, "GET", "/apps/sums/functions/none")
    assert api.refused(404, "GET", "/why/fc-none")


def test_the_autoscaler_is_changed_and_the_layers_tell_how(api: Api) -> None:
    path = "/apps/sums/functions/nap"
    assert api.get(path)["autoscaler"]["static"]["max_containers"] == 1
    status, layers = api.ask("PATCH", f"{path}/autoscaler", {"max_containers": 3, "scaledown_window": 9})
    assert status == 200
    assert layers["effective"]["max_containers"] == layers["override"]["max_containers"] == 3
    assert api.get(path)["autoscaler"] == layers
    seen = api.place.python(
        "s = swell.Function.from_name('sums', 'nap').autoscaler.settings()\nprint(s.max_containers, s.scaledown_window)"
    )
    assert seen == "3 9"
    told = api.refused(409, "PATCH", f"{path}/autoscaler", {"min_containers": 4})
    assert "cannot be greater" in told
    assert ">= 1" in api.refused(422, "PATCH", f"{path}/autoscaler", {"max_containers": 0})
    api.ask("PATCH", f"{path}/autoscaler", {"max_containers": 1})


def test_a_container_is_stopped(api: Api) -> None:
    api.run("add", 1)
    containers = api.get("/containers?app=sums")["containers"]
    container_id = next(each["container_id"] for each in containers if each["function_name"] == "add")
    assert api.ask("POST", f"/containers/{container_id}/stop", {"graceful": True})[0] == 202
    wait_until(
        lambda: all(each["container_id"] != container_id for each in api.get("/containers")["containers"]),
        f"{container_id} has not stopped",
        pause_s=0.02,
    )
    gone = api.get("/containers?app=sums&gone=100")["containers"]
    assert next(each for each in gone if each["container_id"] == container_id)["ended_at"]
    assert api.refused(404, "POST", f"/containers/{container_id}/stop")
    assert api.run("add", 1)["value"] == 1


# ---------------------------------------------------------------- the surface


def test_the_token_is_for_its_owner_alone(api: Api) -> None:
    assert stat.S_IMODE(api.token_file.stat().st_mode) == 0o600
    assert api.refused(401, "GET", "/status", authorization="Bearer wrong").startswith("AuthError")
    assert api.refused(421, "GET", "/status", host="attacker.example")
    assert api.refused(403, "POST", "/apps/sums/functions/add/call", {}, origin="http://attacker.example")


def test_every_refusal_is_json_and_says_what_to_do(api: Api) -> None:
    path = "/apps/sums/functions/add/call"
    assert "as JSON" in api.refused(400, "POST", path, b'{"args": [')
    assert "as JSON" in api.refused(400, "POST", path, b"\xff")
    assert "as JSON" in api.refused(400, "POST", path, b'{"args": ' + b"[" * 100_000)
    assert "argz" in api.refused(422, "POST", path, {"argz": []})
    assert "$.args" in api.refused(422, "POST", path, {"args": {}})
    assert "--json" in api.refused(422, "POST", path, {}, content_type="text/plain")
    assert "takes no body" in api.refused(422, "GET", "/apps", {})
    assert "twice" in api.refused(422, "GET", "/containers?gone=1&gone=2")
    assert "unknown field" in api.refused(422, "GET", "/containers?went=1")
    assert "openapi.json" in api.refused(404, "GET", "/nothing")
    assert "openapi.json" in api.refused(405, "PUT", "/apps")
    assert api.run("add", 1)["value"] == 1


def test_a_client_that_talks_nonsense_costs_only_its_connection(api: Api) -> None:
    parts = urlsplit(api.url)
    for nonsense in (
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v1/apps HTTP/1.1\r\nHost: localhost\r\n",
    ):
        with socket.create_connection((parts.hostname, parts.port), PATIENCE_S) as connection:
            connection.sendall(nonsense)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert api.get("/status")["apps"] == 2


def test_a_browser_is_logged_in_once_by_each_token(api: Api) -> None:
    def go(path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        connection = api.connect()
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    status, minted = api.ask("POST", "/login-tokens")
    assert status == 201
    assert minted["path"] == f"/login?token={minted['token']}"
    assert minted["expires_in_s"] == 600
    assert go("/api/v1/status", accept="text/html").status == 401

    for method in ("GET", "HEAD", "GET"):  # as previews and scanners fetch it
        answer = go(minted["path"], method)
        assert (answer.status, answer.getheader("set-cookie")) == (200, None)
    answer = go(minted["path"], "POST")
    assert (answer.status, answer.getheader("location")) == (303, "/")
    cookie, *attributes = (answer.getheader("set-cookie") or "").split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(attributes)
    assert go("/api/v1/status", cookie=cookie).status == 200
    for method in ("GET", "HEAD", "POST"):
        again = go(minted["path"], method)
        assert (again.status, again.getheader("set-cookie")) == (403, None)
    assert go("/logout", "POST", cookie=cookie).status == 303
    assert go("/api/v1/status", cookie=cookie).status == 401


# ---------------------------------------------------------------- the description


def test_every_operation_is_described(api: Api) -> None:
    described = api.get("/openapi.json")
    assert described["openapi"].startswith("3.1")
    found = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert found == {(operation.method, f"/api/v1{operation.path}") for operation in OPERATIONS}


@pytest.mark.slow
@pytest.mark.timeout(240)  # some 400 requests, and a busy machine
def test_the_api_does_what_its_description_says(api: Api, tmp_path: Path) -> None:
    """Each operation is sent what the description allows, and what it does not, by boundaries and along its links."""
    (tmp_path / "schemathesis.toml").write_text("[phases.coverage]\nunexpected-methods = []\n")
    checks = (
        "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
        "response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,ignored_auth"
    )
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            f"--config-file={tmp_path / 'schemathesis.toml'}",
            "run",
            f"{api.url}/api/v1/openapi.json",
            f"--header=Authorization: Bearer {api.token}",
            f"--checks={checks}",
            "--phases=examples,coverage,stateful",
            "--max-examples=3",
            "--request-timeout=60",
            "--generation-deterministic",
            "--no-color",
        ],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    assert f"Operations:       {len(OPERATIONS)} selected" in done.stdout


# ---------------------------------------------------------------- the page


def test_the_commands_of_the_page_do_what_it_shows(api: Api, repository: Path) -> None:
    page = (repository / "docs/http-api.md").read_text()
    blocks = re.findall(r"```(sh|json)\n(.*?)```", page, re.DOTALL)
    script, expected = ["set -eu"], list[str]()
    for kind, text in blocks:
        if kind == "sh":
            for of_the_server, here in (
                (r"^swell (start|deploy).*\n", ""),
                (r"^API=.*", f"API={api.url}/api/v1"),
                (r"~/.local/share/swell/admin.token", str(api.token_file)),
            ):
                text = re.sub(of_the_server, here, text, flags=re.MULTILINE)
            script += [text, "echo", "echo ==="]
        else:
            expected.append(text)
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = [part.strip() for part in done.stdout.split("===")]

    def without_ids(text: str) -> Any:
        return json.loads(re.sub(r"fc-[0-9a-f]+", "fc-", text))

    shown = [without_ids(text) for text in printed if "call_id" in text]
    assert shown == [without_ids(text) for text in expected]
    assert '"max_containers":4' in done.stdout
    assert "function deployed.greet" in done.stdout
