"""More requests than the edge takes in a second."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import small as s
from edge_client import Reply, ask, connect, url_of

import swell

RATE = 1.0  # a second: fewer than any machine makes, however busy
BURST_S = 8.0


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(s.app, web_rate=RATE, web_burst_s=BURST_S)


def test_more_requests_than_the_rate_allows_are_told_when_to_come_again() -> None:
    url = url_of(s.site)
    assert ask(f"{url}/").status == 200
    began_at = time.monotonic()
    replies = list[Reply]()
    with contextlib.closing(connect(url)) as connection:
        while sum(reply.status == 429 for reply in replies) < 5:
            connection.request("GET", f"{urlsplit(url).path}/nothing")
            replies.append(Reply(connection.getresponse()))
    took_s = time.monotonic() - began_at
    admitted = sum(reply.status == 204 for reply in replies)
    assert admitted >= RATE * BURST_S - 1
    assert admitted <= RATE * (BURST_S + took_s) + 1  # on a slow machine, more may be
    refused = [reply for reply in replies if reply.status != 204]
    assert {reply.status for reply in refused} == {429}
    assert {reply.headers["retry-after"] for reply in refused} == {"1"}
    assert b"web_rate" in refused[0].body
    time.sleep(int(refused[-1].headers["retry-after"]))  # as it asks to
    assert ask(f"{url}/").status == 200
