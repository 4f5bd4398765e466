"""What processes make of the cores of a machine, as the kernel's clocks tell it."""

from __future__ import annotations

import os

import pytest

from swell.backends.process.busy_meter import BusyMeter


class Kernel:
    """What the kernel would tell of processes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ran: dict[int, float] = {}
        self.waited: dict[int, float] = {}
        self.awake: set[int] = set()
        self.files_read = 0

    def schedule(self, pid: int) -> tuple[float, bool]:
        self.files_read += 1
        return self.waited.get(pid, 0.0), pid in self.awake

    def clock(self) -> float:
        return self.now


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def meter(kernel: Kernel) -> BusyMeter:
    return BusyMeter(2.0, kernel.ran.get, kernel.schedule, kernel.clock)


def test_a_process_that_is_gone_keeps_nothing_busy() -> None:
    assert BusyMeter(2.0).measure([(2**22 + 1, True)]) == (0.0, 0.0, 0, 0)


def test_this_process_keeps_a_core_busy() -> None:
    meter = BusyMeter(2.0)
    meter.measure([(os.getpid(), False)])
    sum(range(200_000))
    assert 0 < meter.measure([(os.getpid(), False)]).cores <= 2.0


def test_what_a_process_used_before_the_last_call_does_not_count(meter: BusyMeter, kernel: Kernel) -> None:
    kernel.ran[7], kernel.waited[7] = 500.0, 1.0
    meter.measure([(7, False)])
    kernel.now = 1.0
    assert meter.measure([(7, False)]).cores == 0.0


def test_computing_keeps_cores_busy_and_never_more_than_there_are(meter: BusyMeter, kernel: Kernel) -> None:
    kernel.ran[7] = 0.0
    meter.measure([(7, False)])
    kernel.now, kernel.ran[7] = 1.0, 100.0
    assert meter.measure([(7, False)]).cores == 2.0


def test_a_core_that_is_waited_for_is_not_free(meter: BusyMeter, kernel: Kernel) -> None:
    kernel.ran[7] = 0.0
    meter.measure([(7, False)])
    kernel.now, kernel.ran[7], kernel.waited[7] = 1.0, 0.25, 0.5
    assert meter.measure([(7, False)]).cores == 0.75


def test_a_wait_counts_while_it_goes_on_and_not_again_when_it_is_over(meter: BusyMeter, kernel: Kernel) -> None:
    kernel.ran[7] = 0.0
    kernel.awake = {7}
    kernel.ran[7] = 0.01
    meter.measure([(7, False)])
    for second in range(1, 5):
        kernel.now = second
        assert meter.measure([(7, False)]).cores == 1.0, "it has neither run, nor is the end of its wait known"
    kernel.now, kernel.waited[7], kernel.ran[7] = 5.0, 4.75, 0.26
    assert meter.measure([(7, False)]).cores == pytest.approx(1.25)


def test_a_start_keeps_cores_busy_and_is_no_work(meter: BusyMeter, kernel: Kernel) -> None:
    kernel.now, kernel.ran[7] = 1.0, 1.0
    assert meter.measure([(7, False)]) == (1.0, 0.0, 0, 0), "it began after the last call"
    kernel.now, kernel.ran[7] = 2.0, 2.0
    assert meter.measure([(7, True)]) == (1.0, 0.0, 1, 0), "some of that was its start"


def test_a_process_that_has_slept_since_the_last_call_is_judged(meter: BusyMeter, kernel: Kernel) -> None:
    kernel.now, kernel.ran[7] = 1.0, 1.0
    meter.measure([(7, True)])
    kernel.now = 1.01
    assert meter.measure([(7, True)]).unjudged == 1, "it may wait for its first input"
    kernel.now, kernel.ran[7] = 1.03, 1.001
    busy = meter.measure([(7, True)])
    assert busy[1:] == (pytest.approx(0.05), 0, 1)
    kernel.now, kernel.ran[7] = 2.03, 1.501
    assert meter.measure([(7, True)]).working_cores == pytest.approx(0.5), "what it does later is work"


def test_a_process_that_goes_on_is_at_work(meter: BusyMeter, kernel: Kernel) -> None:
    kernel.awake = {7}
    kernel.now, kernel.ran[7] = 1.0, 1.0
    meter.measure([(7, True)])
    kernel.now, kernel.ran[7] = 1.05, 1.05
    assert meter.measure([(7, True)]) == (pytest.approx(1.0), 0.0, 1, 0), "it may be about to begin"
    kernel.now, kernel.ran[7] = 1.1, 1.1
    assert meter.measure([(7, True)]) == (pytest.approx(1.0), pytest.approx(1.0), 0, -1)


def test_processes_that_sleep_cost_no_reading_of_files(meter: BusyMeter, kernel: Kernel) -> None:
    processes = [(pid, True) for pid in range(1_000)]
    kernel.ran |= dict.fromkeys(range(1_000), 1.0)
    for second in range(3):
        kernel.now, kernel.files_read = second, 0
        meter.measure(processes)
    assert kernel.files_read == 0
