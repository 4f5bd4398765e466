"""The backlog beside a plain one that looks through lists: whatever happens, both let the same inputs leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest

from swell.config import Settings
from swell.engine.state.app import App
from swell.engine.state.backlog import SKIPS_MAX, Backlog
from swell.engine.state.call import Call
from swell.engine.state.pool import Pool
from swell.engine.state.span import Segment, Span
from swell.items import PackedItems
from swell.model import AppKind, CallKind, Deployment, Environment, FunctionSpec, Source

VERSION = Deployment("ap", 0, (), Environment("/py", "/", ()))
POOL = Pool(
    "fu",
    App("ap", AppKind.EPHEMERAL, 1, VERSION, 0.0),
    FunctionSpec("f", Source("m", "f")),
    Settings(),
    VERSION,
)
NOTHING = PackedItems[bytes]([], b"")

Run = tuple[str, int, int, float, bool]  #: call, first, last, queued at, alone


@dataclass
class Plain:
    """What the backlog should do, in the fewest words."""

    due: dict[str, list[Run]] = field(default_factory=dict[str, list[Run]])  #: in order of turns, if not held
    delayed: list[tuple[float, int, Run]] = field(default_factory=list[tuple[float, int, Run]])
    held: set[str] = field(default_factory=set[str])
    turns: list[str] = field(default_factory=list[str])

    def queue(self, run: Run) -> None:
        runs = self.due.setdefault(run[0], [])
        behind = [each[3] for each in runs if each[1] > run[1]]
        runs.append((*run[:3], min([run[3], *behind]), run[4]))
        runs.sort(key=lambda each: each[1])
        self.settle()

    def settle(self) -> None:
        may_run = [call for call, runs in self.due.items() if runs and call not in self.held]
        self.turns = [call for call in self.turns if call in may_run]
        self.turns += [call for call in may_run if call not in self.turns]

    def release(self, now: float) -> None:
        for entry in sorted(self.delayed):
            if entry[0] <= now:
                self.delayed.remove(entry)
                self.queue((*entry[2][:3], now, entry[2][4]))

    def take(self, count: int, methods: dict[str, str]) -> list[Run]:
        taken: list[Run] = []
        share = -(-count // len(self.turns)) if self.turns else 0
        passed: list[str] = []
        while count and self.turns:
            call = self.turns.pop(0)
            _, first, last, at, alone = self.due[call][0]
            if taken and (alone or methods[call] != methods[taken[0][0]]):
                passed.append(call)
                continue
            upto = first + 1 if alone else min(last, first + min(count, share))
            taken.append((call, first, upto, at, alone))
            count -= upto - first
            self.due[call][:1] = [(call, upto, last, at, alone)] if upto < last else []
            if self.due[call]:
                self.turns.append(call)
            if alone:
                break
        self.turns = passed + self.turns
        self.settle()
        return taken

    def remove(self, call: str) -> list[Run]:
        gone = self.due.pop(call, []) + [run for _, _, run in self.delayed_of(call)]
        self.delayed = [entry for entry in self.delayed if entry[2][0] != call]
        self.settle()
        return gone

    def delayed_of(self, call: str) -> list[tuple[float, int, Run]]:
        return sorted((entry for entry in self.delayed if entry[2][0] == call), key=lambda entry: entry[1])


class Pair:
    """One backlog and the plain one, that live through the same."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0.0
        self.backlog, self.plain = Backlog(), Plain()
        self.calls = [
            Call(name, CallKind.MAP, POOL, random.choice("xy"), 1, parent="", opened_at=0.0) for name in "abcdef"
        ]
        self.methods = {call.id: call.method for call in self.calls}
        self.upto = dict.fromkeys(self.methods, 0)
        self.out: list[Run] = []
        self.delays = 0

    def span(self, call: Call, first: int, last: int, *, alone: bool) -> tuple[Span, Run]:
        span = Span(call, Segment(first, NOTHING), first, last, queued_at=self.now, alone=alone)
        return span, (call.id, first, last, self.now, alone)

    def add(self) -> None:
        call = self.random.choice(self.calls)
        first = self.upto[call.id]
        last = self.upto[call.id] = first + self.random.randint(1, 9)
        span, run = self.span(call, first, last, alone=False)
        self.backlog.add(span)
        self.plain.queue(run)

    def take(self) -> None:
        count = self.random.randint(1, 12)
        taken = [
            (part.call.id, part.first, part.first + part.count, part.queued_at, part.alone)
            for part in self.backlog.take(count)
        ]
        assert taken == self.plain.take(count, self.methods)
        self.out += taken

    def come_back(self) -> None:
        if not self.out:
            return
        name, first, last, _, _ = self.out.pop(self.random.randrange(len(self.out)))
        call = next(call for call in self.calls if call.id == name)
        middle = self.random.randint(first, last)
        for start, stop in ((middle, last), (first, middle)):
            if start < stop:
                span, run = self.span(call, start, stop, alone=stop - start == 1 and self.random.random() < 0.3)
                self.put(span, run)

    def put(self, span: Span, run: Run) -> None:
        if self.random.random() < 0.5:
            self.backlog.put_back(span)
            self.plain.queue(run)
        else:
            until = self.now + self.random.randint(1, 5)
            self.delays += 1
            self.backlog.delay(span, until)
            self.plain.delayed.append((until, self.delays, run))

    def release(self) -> None:
        self.backlog.release(self.now)
        self.plain.release(self.now)

    def hold(self) -> None:
        some = self.random.sample(self.calls, 2)
        self.backlog.hold(some)
        self.plain.held |= {call.id for call in some}
        self.plain.settle()

    def let_go(self) -> None:
        call = self.random.choice(self.calls)
        self.backlog.let_go(call)
        self.plain.held.discard(call.id)
        self.plain.settle()

    def remove(self) -> None:
        call = self.random.choice(self.calls)
        gone = [(span.call.id, span.first, span.last, span.alone) for span in self.backlog.remove(call)]
        assert gone == [(name, first, last, alone) for name, first, last, _, alone in self.plain.remove(call.id)]

    def compare(self) -> None:
        backlog, plain = self.backlog, self.plain
        held = [run for call in plain.held for run in plain.due.get(call, [])]
        due = [run for call in plain.turns for run in plain.due[call]]
        assert [(span.call.id, span.first, span.last) for span in backlog.due()] == [run[:3] for run in due]
        assert backlog.count == sum(last - first for _, first, last, _, _ in due)
        assert backlog.held_count == sum(last - first for _, first, last, _, _ in held)
        assert backlog.delayed_count == sum(run[2] - run[1] for _, _, run in plain.delayed)
        assert backlog.delayed_until == min((until for until, _, _ in plain.delayed), default=None)
        waiting = {run[0] for run in due + held} | {run[0] for _, _, run in plain.delayed}
        assert {call.id for call in backlog.calls()} == waiting
        if due:
            assert backlog.oldest_at == min(run[3] for run in due)
            assert backlog.next_is_alone is plain.due[plain.turns[0]][0][4]


@pytest.mark.parametrize("seed", range(60))
def test_it_does_as_the_plain_one_does(seed: int) -> None:
    pair = Pair(Random(seed))
    often = [pair.add, pair.take, pair.take, pair.come_back, pair.come_back, pair.release]
    seldom = [pair.hold, pair.let_go, pair.let_go, pair.remove]
    for _ in range(400):
        pair.now += pair.random.choice((0.0, 0.0, 1.0))
        pair.random.choice(often if pair.random.random() < 0.9 else seldom)()
        pair.compare()


def test_of_many_that_cannot_join_only_so_many_are_looked_at() -> None:
    backlog, looks = Backlog(), 0

    class Watched(Call):
        @property
        def method(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
            nonlocal looks
            looks += 1
            return "other"

        @method.setter
        def method(self, _: str) -> None:
            pass

    for number in range(10 * SKIPS_MAX):
        call = Watched(f"c{number}", CallKind.MAP, POOL, "", 1, parent="", opened_at=0.0)
        backlog.add(Span(call, Segment(0, NOTHING), 0, 1, queued_at=0.0))
    assert not backlog.take(5, method="this")
    assert looks == SKIPS_MAX
    assert [part.call.id for part in backlog.take(3)] == ["c0", "c1", "c2"], "they keep their turns"
