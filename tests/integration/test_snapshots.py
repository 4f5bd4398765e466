"""Memory snapshots: code loaded once on a node and inherited, and what happens where that is impossible."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from patience import wait_until
from snapshot_app import Broken, Snapped, WithLoop, WithThread, app, draws, forked

import swell
import swell.linux as linux
from swell.sdk.connection.output import PlainOutput
from swell.wire.messages import Log


class Heard(PlainOutput):
    """What a person would read."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def log(self, message: Log, text: str) -> None:
        self.lines += text.splitlines()

    def about(self, what: str) -> list[str]:
        return [line for line in self.lines if what in line]


@pytest.fixture(scope="module")
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App], heard: Heard) -> Iterator[None]:
    with swell.enable_output(heard):
        run_app(app, start_backoff_s=0.05, start_failures_max=2)
        yield


@pytest.mark.nodes
def test_code_is_loaded_once_for_all_containers_of_a_node(board: ModuleType) -> None:
    results = [forked.remote() for _ in range(4)]
    assert len({pid for pid, *_ in results}) == 4
    loads = board.notes("import")  # none, if another test came first
    assert len(loads) == len(set(loads))
    assert set(loads) <= {node for *_, node in results}


def test_containers_share_the_memory_of_what_was_loaded() -> None:
    _, private, *_ = forked.remote()
    assert private < 10 << 20  # of a module with 200 MiB


def test_containers_do_not_share_their_randomness() -> None:
    assert len({forked.remote()[2] for _ in range(3)}) == 3
    unseeded, seeded = zip(*(draws.remote() for _ in range(3)), strict=True)
    assert len(set(unseeded)) == 3
    assert set(seeded) == {random.Random(3).random()}


@pytest.mark.nodes
def test_early_hooks_run_in_the_snapshot_and_the_others_in_each_container(board: ModuleType) -> None:
    model = Snapped(size="large")
    runs = [model.run.remote(), model.run.remote()]
    loaders, expected = dict[str, int](), list[str]()
    for loader, pid, node in runs:
        if node not in loaders:
            loaders[node] = loader
            expected.append(f"before large {loader}")
        assert loaders[node] == loader
        expected.append(f"after large {pid}")
    assert board.notes("hook") == expected
    pids = [pid for _, pid, _ in runs]
    assert len({*loaders.values(), *pids}) == len(loaders) + 2
    board.wait_for_note(*(f"exit {pid}" for pid in pids))


def test_each_set_of_parameters_has_a_snapshot(board: ModuleType) -> None:
    assert Snapped(size="one").run.remote()[0] != Snapped(size="two").run.remote()[0]


@pytest.mark.parametrize(
    ("cls", "found"), [(WithThread, "in-the-background"), (WithLoop, "event loop")], ids=["thread", "event loop"]
)
def test_what_cannot_be_forked_starts_plainly_with_one_warning_of_each_node(
    cls: Any, found: str, heard: Heard, board: ModuleType
) -> None:
    runs = [cls().run.remote(), cls().run.remote()]
    assert all(is_plain for is_plain, _ in runs)
    sys.stdout.flush()
    warnings = heard.about(f"{cls.__name__}.* start without a memory snapshot")
    assert len(warnings) == len({node for _, node in runs})
    assert all(found in warning for warning in warnings)
    processes = [[int(word) for word in line.split()] for line in board.notes("process")]
    assert len(processes) >= len(warnings) + 2  # those that were rejected, and the containers
    wait_until(lambda: not any(linux.begun_at(pid) == begun for pid, begun in processes), "one of them never ended")


def test_a_hook_that_raises_fails_the_start_with_its_own_exception() -> None:
    with pytest.raises(LookupError) as caught:
        Broken().run.remote()
    assert caught.value.args == ("no weights", 3)


def test_early_hooks_want_the_option() -> None:
    with pytest.raises(swell.exception.InvalidError, match="enable_memory_snapshot"):

        @swell.App().cls(serialized=True)
        class Unasked:
            @swell.enter(snap=True)
            def before(self) -> None: ...
