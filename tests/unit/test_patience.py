"""Limits of tests: they grow with the load, also while they run, and end all the same."""

from __future__ import annotations

import patience as under_test
import pytest
from patience import patience, slowness, wait_until


class Machine:
    """A clock that sleeping advances, and a load."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.load = 1.0
        monkeypatch.setattr(under_test.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(under_test.time, "sleep", self.sleep)
        monkeypatch.setattr(under_test, "slowness", lambda: self.load)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_a_quiet_machine_is_not_slow_and_no_machine_is_slow_without_bound() -> None:
    assert 1.0 <= slowness() <= under_test.SLOWNESS_MAX


def test_a_busy_machine_gets_more_time(machine: Machine) -> None:
    machine.load = 6.0
    assert patience(10.0) == 60.0


def test_what_never_comes_is_told_after_the_limit(machine: Machine) -> None:
    with pytest.raises(AssertionError, match=r"no file \(waited 10\.\d s\)"):
        wait_until(lambda: False, "no file", seconds=10.0, pause_s=0.1)


def test_the_limit_grows_with_a_load_that_came_later(machine: Machine) -> None:
    def condition() -> bool:
        machine.load = 1.0 if machine.now < 5.0 else 4.0
        return machine.now > 35.0

    assert wait_until(condition, "it", seconds=10.0, pause_s=0.1)


def test_what_was_waited_for_is_returned(machine: Machine) -> None:
    found = iter([None, "", "value"])
    assert wait_until(lambda: next(found), "a value") == "value"
