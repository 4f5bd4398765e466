"""Leases that a process holds: who gets a free one, who waits, and which call asks for one more."""

from __future__ import annotations

import itertools
import threading

import pytest

from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.lease import BlockingLease
from swell.sdk.connection.lease_pool import ASK_S, GAP_MAX_S, PAUSE_S, QUICK_S, FunctionLeases, ThreadLeases, Waiter
from swell.wire.leases import LeaseGranted

NOW = 1_000.0


class Waiting(Waiter[BlockingLease]):
    woken = 0

    def wake(self) -> None:
        self.woken += 1


def lease(number: int = 1) -> BlockingLease:
    return BlockingLease(grant(number), 1 << 20)


def grant(number: int = 1) -> LeaseGranted:
    return LeaseGranted(f"le-{number}", "token", "fu-1", "ta-1", False)


@pytest.fixture
def leases() -> FunctionLeases[BlockingLease]:
    """Those of a function of which a call has just ended."""
    found = FunctionLeases[BlockingLease]()
    found.called_at = NOW
    return found


# ---------------------------------------------------------------- who wants one


def test_a_call_soon_after_another_wants_a_lease(leases: FunctionLeases[BlockingLease]) -> None:
    assert leases.wants(NOW + GAP_MAX_S)
    assert not leases.wants(NOW + 2 * GAP_MAX_S)


def test_nobody_wants_one_while_one_is_free(leases: FunctionLeases[BlockingLease]) -> None:
    leases.granted([lease()])
    assert not leases.wants(NOW)
    assert leases.choose(NOW) is not None
    assert leases.wants(NOW)


def test_after_a_long_call_none_is_wanted_for_longer_each_time(leases: FunctionLeases[BlockingLease]) -> None:
    pauses: list[float] = []
    for _ in range(12):
        leases.was_useless(NOW)
        pause = PAUSE_S
        leases.called_at = NOW + pause
        while not leases.wants(NOW + pause):
            pause *= 2
            leases.called_at = NOW + pause
        pauses.append(pause)
    assert pauses == sorted(pauses) and pauses[0] == PAUSE_S and pauses[-1] <= 60.0
    leases.was_quick(NOW)
    leases.was_useless(NOW)
    leases.called_at = NOW + PAUSE_S
    assert leases.wants(NOW + PAUSE_S)


# ---------------------------------------------------------------- who waits


def test_a_call_waits_for_a_lease_in_use_and_one_in_a_while_asks(leases: FunctionLeases[BlockingLease]) -> None:
    leases.used = 1
    asked = [at for at in range(0, 4_000) if not leases.should_wait(NOW + at * ASK_S / 10)]
    gaps = [b - a for a, b in itertools.pairwise(asked)]
    assert asked[0] == 0 and gaps == sorted(gaps) and gaps[0] == 10 and gaps[-1] == 500


def test_one_that_is_granted_one_more_asks_again_at_once(leases: FunctionLeases[BlockingLease]) -> None:
    leases.used = 1
    assert not leases.should_wait(NOW) and leases.should_wait(NOW)
    leases.granted([lease(2)])
    assert leases.choose(NOW) is not None
    leases.used += 1
    assert not leases.should_wait(NOW)


def test_one_in_place_of_a_recalled_one_is_no_more_than_before(leases: FunctionLeases[BlockingLease]) -> None:
    leases.used = 2
    assert not leases.should_wait(NOW)
    leases.used = 1  # the server has recalled the other, for the call that asked
    leases.granted([lease(2)])
    assert leases.choose(NOW) is not None
    assert leases.should_wait(NOW)


def test_nobody_waits_for_calls_that_take_long(leases: FunctionLeases[BlockingLease]) -> None:
    leases.used = leases.long = 2
    assert not leases.should_wait(NOW)
    waiting = Waiting()
    leases.waiting.append(waiting)
    leases.look()
    assert waiting.woken == 1 and waiting.lease is None


def test_others_wait_for_the_lease_that_a_call_has_asked_for_if_calls_were_quick(
    leases: FunctionLeases[BlockingLease],
) -> None:
    leases.asking = 1
    assert not leases.should_wait(NOW)
    leases.was_quick(NOW)
    assert leases.should_wait(NOW)
    assert not leases.should_wait(NOW + QUICK_S)


def test_who_has_waited_in_vain_is_the_last_to_wait_until_a_lease_is_given_back(
    leases: FunctionLeases[BlockingLease],
) -> None:
    leases.used = 1
    assert not leases.should_wait(NOW)
    leases.moves = False
    assert not leases.should_wait(NOW)
    leases.put(lease())
    assert leases.choose(NOW) is not None
    assert leases.should_wait(NOW)


def test_a_lease_goes_to_the_call_that_waits_longest(leases: FunctionLeases[BlockingLease]) -> None:
    first, second = Waiting(), Waiting()
    leases.waiting += [first, second]
    given = lease()
    leases.put(given)
    assert (first.lease, second.lease) == (given, None)
    assert (first.woken, second.woken, leases.used, leases.free) == (1, 0, 1, [])


# ---------------------------------------------------------------- threads


def test_the_lease_used_last_is_taken_first() -> None:
    pool = ThreadLeases(1 << 20)
    for number in range(3):
        pool.granted(grant(number))
    taken = [run_blocking(pool.take("fu-1")) for _ in range(3)]
    assert [each.grant.lease for each in taken if each] == ["le-2", "le-1", "le-0"]
    pool.give_back(taken[1], took_long=False)  # pyright: ignore[reportArgumentType]
    assert run_blocking(pool.take("fu-1")) is taken[1]


def test_a_thread_gets_the_lease_that_another_gives_back() -> None:
    pool = ThreadLeases(1 << 20)
    pool.granted(grant())
    held = run_blocking(pool.take("fu-1"))
    assert held is not None
    assert run_blocking(pool.take("fu-1")) is None  # the one that asks
    found: list[BlockingLease | None] = []
    function = pool._of("fu-1")
    function._asks_at = float("inf")

    def take() -> None:
        while not found or found[-1] is None:
            function.moves = True
            found.append(run_blocking(pool.take("fu-1")))

    thread = threading.Thread(target=take)
    thread.start()
    pool.give_back(held, took_long=False)
    thread.join()
    assert found[-1] is held and function.used == 1


def test_a_lease_that_is_over_is_not_held() -> None:
    pool = ThreadLeases(1 << 20)
    pool.granted(grant())
    held = run_blocking(pool.take("fu-1"))
    assert held is not None
    pool.end(held)
    assert held.is_over and run_blocking(pool.take("fu-1")) is None


def test_what_is_dropped_is_closed() -> None:
    pool = ThreadLeases(1 << 20)
    made = pool.new(grant())
    pool._of("fu-1").granted(made)
    pool.drop()
    assert made[0].is_over and run_blocking(pool.take("fu-1")) is None
