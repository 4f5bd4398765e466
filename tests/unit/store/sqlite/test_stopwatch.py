from __future__ import annotations

import os
import threading
from contextlib import closing

import pytest

from swell.store.sqlite import stopwatch as module
from swell.store.sqlite.stopwatch import WATCHED, Stopwatch


def test_time_without_a_core_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now, coreless_ms = 10.0, 5_000.0
    monkeypatch.setattr(module, "perf_counter", lambda: now)
    monkeypatch.setattr(os, "pread", lambda *_: b"123456789 %d 17\n" % round(coreless_ms * 1e6))
    with closing(Stopwatch(0.001)) as stopwatch:
        stopwatch.start()
        now, coreless_ms = 10.005, 5_004.8
        assert stopwatch.took() == pytest.approx(0.0002)
        stopwatch.start()
        now, coreless_ms = 10.0058, 5_004.9
        assert stopwatch.took() == pytest.approx(0.0008)  # no longer than asked for: as it is


def test_the_kernel_is_asked_only_while_the_machine_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = 0.0, 0

    def pread(*_: object) -> bytes:
        nonlocal asked
        asked += 1
        return b"1 0 1"

    def measure(took_s: float) -> None:
        nonlocal now
        stopwatch.start()
        now += took_s
        assert stopwatch.took() == pytest.approx(took_s)

    monkeypatch.setattr(module, "perf_counter", lambda: now)
    monkeypatch.setattr(os, "pread", pread)
    with closing(Stopwatch(0.001)) as stopwatch:
        for _ in range(WATCHED * 2):
            measure(0.0002)
        assert asked == WATCHED
        measure(0.005)
        assert asked == WATCHED
        measure(0.005)
        assert asked == WATCHED + 2


def test_each_stopwatch_is_that_of_its_thread() -> None:
    taken = list[float]()

    def measure() -> None:
        with closing(Stopwatch(0.0)) as stopwatch:
            stopwatch.start()
            taken.append(stopwatch.took())

    thread = threading.Thread(target=measure)
    thread.start()
    measure()
    thread.join()
    assert len(taken) == 2


def test_a_kernel_that_does_not_count_makes_it_an_ordinary_stopwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(os, "open", missing)
    now = iter([1.0, 1.5])
    monkeypatch.setattr(module, "perf_counter", lambda: next(now))
    with closing(Stopwatch(0.001)) as stopwatch:
        stopwatch.start()
        assert stopwatch.took() == 0.5
        stopwatch.close()
