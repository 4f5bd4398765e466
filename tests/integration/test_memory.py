"""What a container may use and do: more memory than its limit ends it with a clear error, and harms no other input."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType

import psutil
import pytest
from greedy_app import (
    app,
    frees,
    has_children,
    kills_its_snapshot,
    kills_its_templates,
    maps,
    maps_and_is_retried,
    new,
    shares,
    stays,
)

import swell
from swell.exception import OutOfMemoryError

LEAVE_S = 20.0


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> None:
    run_app(app, retry_delay_min_s=0.05, start_backoff_s=0.05)


@pytest.mark.nodes
def test_memory_that_no_limit_of_a_process_counts_ends_the_input_at_once(board: ModuleType) -> None:
    assert maps.remote(20) == 20
    with pytest.raises(OutOfMemoryError) as caught:
        maps.remote(200)
    said = str(caught.value)
    assert said.startswith("input 0: its container used ")
    assert "its limit is 128 MiB. It asked for memory=(64, 128), which is (request, limit): raise the limit" in said
    used = int(said.split("used ")[1].split()[0])
    assert 128 <= used < 300
    assert isinstance(caught.value, MemoryError), "as what is too much for one process"
    assert len(board.notes("attempt")) == 2
    assert maps.remote(20) == 20


def test_retries_that_were_asked_for_are_made(board: ModuleType) -> None:
    with pytest.raises(OutOfMemoryError):
        maps_and_is_retried.remote(200)
    assert len(board.notes("attempt")) == 3


@pytest.mark.parametrize("new_session", [False, True])
def test_what_its_children_use_counts_and_they_end_with_it(board: ModuleType, new_session: bool) -> None:
    with pytest.raises(OutOfMemoryError):
        has_children.remote(3, new_session=new_session)
    assert len(board.notes("attempt")) == 1
    [pids] = board.notes("pids")
    deadline = time.monotonic() + LEAVE_S
    while (left := [pid for pid in pids.split() if lives(int(pid))]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_inputs_beside_a_greedy_one_run_again_and_only_it_fails(board: ModuleType) -> None:
    results = list(shares.map(range(4), kwargs={"greedy": 2}, return_exceptions=True))
    assert [result for x, result in enumerate(results) if x != 2] == [0, 1, 3]
    assert isinstance(results[2], OutOfMemoryError)
    assert [len(board.notes(f"attempt-{x}")) for x in range(4)] == [2, 2, 2, 2]


def test_too_much_in_one_process_can_be_caught_there() -> None:
    assert frees.remote(2_000) == 0


@pytest.mark.parametrize("kills", [kills_its_templates, kills_its_snapshot], ids=["plain", "snapshot"])
def test_inputs_that_kill_each_template_above_them_harm_no_other_input(
    board: ModuleType, kills: swell.Function[[int], int]
) -> None:
    others = stays.spawn_map(range(3))
    board.wait_for_count("stays", 3)
    for x in range(5):
        assert sorted(kills.map((x, x + 100), order_outputs=False)) == [x, x + 100]
    assert len(board.notes("killed")) >= 5
    assert new.remote(7) == 7, "containers come from another template"
    board.give("end")
    assert sorted(others.iter()) == [0, 1, 2]
    assert len(board.notes("stays")) == 3, "none of them had to run again"
