"""How many answers the edge keeps for clients that are to come back.

This module has a server of its own, on which it is alone: what another test has left there counts for a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin

import pytest
import small as s
from edge_client import Notes, ask, await_idle, follow, url_of
from patience import patience

import swell

PENDING = 2  #: that wait in the queue, beside the one that runs
CONNECTIONS = 12
WAIT_S = min(patience(0.3), 2.0)  # many times that passes while a redirect can be followed, which is for 60 s


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(s.app, web_wait_s=WAIT_S, web_connections_max=CONNECTIONS, pending_sync_max=PENDING)


def test_a_client_waits_on_its_connection_when_as_many_as_may_be_are_to_come_back(tmp_path: Path) -> None:
    """Each was answered, and is fetched only at the end: what is kept for clients that never come back has a bound."""
    url, notes, places = url_of(s.site), Notes(tmp_path / "note"), list[str]()
    follow(url, ask(f"{url}/count"))  # from now on it has a container that is ready
    while len(places) < CONNECTIONS:
        await_idle(s.site)
        held = Notes(Path(f"{notes}-{len(places)}"))
        with ThreadPoolExecutor(1 + PENDING) as executor:
            count = min(1 + PENDING, CONNECTIONS - len(places))
            replies = [executor.submit(ask, f"{url}/wait?{held}") for _ in range(count)]
            places += [reply.result().headers["location"] for reply in replies]
        held.go()
        held.await_lines("ended", count)
    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(ask, f"{url}/wait?{notes}")
        notes.await_lines("began")
        time.sleep(4 * WAIT_S)  # it was told to come back by now, if it ever is
        notes.go()
        assert waiting.result().status == 200
    assert [ask(urljoin(url, place)).body for place in places] == [b"waited"] * CONNECTIONS
    assert ask(f"{url}/wait?{notes}-again").status == 303, "there is room again"
    Notes(Path(f"{notes}-again")).go()
    await_idle(s.site)
