"""Where a daemon listens for HTTP, and its words about a port that is taken."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import wait_until
from place import Place

SITE = """
import swell
app = swell.App("web")

@app.function()
@swell.asgi_app()
def site():
    async def hello(scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})
    return hello
"""


@pytest.fixture
def web_place(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "work"
    folder.mkdir()
    place = Place(folder, tmp_path / "data", web=True)
    (folder / "pages.py").write_text(SITE)
    yield place
    place.end()


def status(place: Place, wanted: str) -> dict[str, str]:
    """Wait until the server's status has something."""
    wait_until(lambda: place.json("status")[wanted], lambda: place.json("status"))
    return place.json("status")


def test_a_deployed_site_answers_at_the_same_url_after_a_restart(web_place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        web_place.environment["SWELL_WEB_PORT"] = str(free.getsockname()[1])
    web_place.told("start")
    told = web_place.told("deploy", "pages.py")
    url = web_place.json("app", "show", "web")["urls"]["site"]
    assert url in told
    assert urllib.request.urlopen(url).read() == b"hello"
    web_place.told("restart")
    assert status(web_place, "web_url")["web_url"] == url.rpartition("/")[0]
    assert urllib.request.urlopen(url).read() == b"hello"


def test_a_port_that_is_taken_is_told_and_used_once_it_is_free(web_place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        web_place.environment["SWELL_WEB_PORT"] = str(port)
        web_place.told("start")
        trouble = status(web_place, "web_trouble")["web_trouble"]
        assert f"cannot listen at 127.0.0.1:{port}" in trouble
        assert "SWELL_WEB_PORT names another port" in trouble
        assert trouble in web_place.told("status")
        web_place.told("deploy", "pages.py")
        told = web_place.python(
            "try: print(swell.Function.from_name('web', 'site').get_web_url())\nexcept Exception as e: print(e)"
        )
        assert told == f"nothing answers HTTP: {trouble}"
    assert status(web_place, "web_url")["web_url"] == f"http://127.0.0.1:{port}"
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/web-site").read() == b"hello"


def test_a_server_without_http_says_so(web_place: Place) -> None:
    web_place.environment["SWELL_WEB"] = "0"
    web_place.told("start")
    web_place.told("deploy", "pages.py")
    assert json.loads(web_place.told("status", "--json"))["web_url"] == ""
    told = web_place.python(
        "try: swell.Function.from_name('web', 'site').get_web_url()\nexcept swell.exception.InvalidError as e: print(e)"
    )
    assert "SWELL_WEB=1" in told
