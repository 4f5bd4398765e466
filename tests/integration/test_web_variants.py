"""Requests that name parameters of a class: few variants at a time, and none for long."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from daemon import Daemon
from edge_client import Reply, ask

MOST = 3
WINDOW_S = 2

CODE = f"""
import swell

app = swell.App("shops")

@app.cls(scaledown_window={WINDOW_S}, cpu=0.01, max_containers=1)
class Shop:
    size: int = swell.parameter(default=1)

    @swell.fastapi_endpoint()
    def look(self):
        return self.size

    @swell.method()
    def sell(self):
        return self.size
"""

SHOP = "Shop = swell.Cls.from_name('shops', 'Shop')\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A server with CODE deployed."""
    settings = {"web": 1, "web_port": 0, "admin_port": 0, "web_variants_max": MOST, "web_rate": 1e6}
    place = Daemon(tmp_path_factory.mktemp("variants"), **settings)
    try:
        place.told("start")
        place.deploy(CODE)
        yield place
    finally:
        place.end()


def url(daemon: Daemon) -> str:
    return daemon.eventually(lambda: daemon.status()["web_url"]) + "/shops-shop-look"


def pools(daemon: Daemon) -> int:
    """Pools of the app, that of the class itself included."""
    return len(json.loads(daemon.told("app", "show", "shops", "--json"))["functions"])


def only_the_class(daemon: Daemon) -> None:
    daemon.eventually(lambda: pools(daemon) == 1)


def test_sixty_values_at_once_are_few_pools_and_the_others_are_told_when_to_come_again(daemon: Daemon) -> None:
    only_the_class(daemon)
    base = url(daemon)

    def look(size: int) -> Reply:
        return ask(f"{base}?size={size}")

    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(look, range(102, 162)))  # which no program in here uses
    assert pools(daemon) <= 1 + MOST
    statuses = Counter(reply.status for reply in replies)
    assert statuses.keys() == {200, 429}
    assert statuses[200] >= MOST
    for size, reply in enumerate(replies, start=102):
        if reply.status == 200:
            assert json.loads(reply.body) == size
        else:
            assert reply.headers["retry-after"] == str(WINDOW_S)
            assert b"web_variants_max = 3" in reply.body
    only_the_class(daemon)
    assert look(161).status == 200, "there is room again"


def test_what_requests_asked_for_is_not_there_after_a_restart_and_is_made_again(daemon: Daemon) -> None:
    only_the_class(daemon)
    assert [ask(f"{url(daemon)}?size={size}").status for size in range(2, 2 + MOST)] == [200] * MOST
    daemon.restart_killed()
    assert pools(daemon) == 1
    daemon.eventually(lambda: ask(f"{url(daemon)}?size=4").body == b"4")


def test_a_handle_and_its_settings_are_good_when_the_variant_was_put_away_and_after_a_restart(daemon: Daemon) -> None:
    only_the_class(daemon)
    assert ask(f"{url(daemon)}?size=5").body == b"5"
    program = (
        SHOP
        + """
shop = Shop(size=5)
shop.update_autoscaler(max_containers=4)
print(shop.sell.remote(), flush=True)
for _ in range(2):
    input()
    print(shop.sell.remote(), shop.autoscaler.settings().max_containers, flush=True)
"""
    )
    with daemon.begin(program) as holding:
        assert holding.stdin is not None
        assert holding.stdout is not None
        assert holding.stdout.readline() == "5\n"
        for restarts in (False, True):
            only_the_class(daemon)
            if restarts:
                daemon.restart_killed()
                assert pools(daemon) == 1
            holding.stdin.write("\n")
            holding.stdin.flush()
            assert holding.stdout.readline() == "5 4\n"
        _, errors = holding.communicate(timeout=50)
    assert not errors


def test_what_a_program_uses_is_not_counted(daemon: Daemon) -> None:
    only_the_class(daemon)
    assert daemon.python(SHOP + "print([Shop(size=size).sell.remote() for size in range(20, 26)])") == str(
        list(range(20, 26))
    )
    assert [ask(f"{url(daemon)}?size={size}").status for size in range(20, 26)] == [200] * 6
