"""Two versions of swell in one run: the work of the cases, in turns, with the source of each. Nothing here is a case.

Two runs differ mostly by the machine: how warm it is, and what else it does. Here both versions meet the same minute,
and the order changes from round to round. A version counts as slower only where the difference is larger than what the
rounds of one version differ among themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.case import Case

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 300  #: for one version in one round
ROUNDS = 7
TOLERANCE = 0.03  #: a difference that is never called one


@dataclass
class Series:
    """What one version reached in a case, round by round."""

    values: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def noise(self) -> float:
        """The distance between the quartiles, as a share of the median."""
        if len(self.values) < 2:
            return 0.0
        lower, _, upper = statistics.quantiles(self.values, n=4, method="inclusive")
        return (upper - lower) / self.median


@dataclass
class Comparison:
    """One case with both versions."""

    case: Case
    former: Series
    present: Series

    @property
    def better_by(self) -> float:
        """How many times better the present version is; below 1 it is worse."""
        before, now = self.former.median, self.present.median
        return now / before if self.case.higher_is_better else before / now

    @property
    def is_slower(self) -> bool:
        return 1 - self.better_by > max(TOLERANCE, self.former.noise, self.present.noise)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.case.name,
            "unit": self.case.unit,
            "former": asdict(self.former),
            "present": asdict(self.present),
            "better_by": self.better_by,
            "is_slower": self.is_slower,
        }


def compare(cases: Sequence[Case], revision: str, *, rounds: int, quick: bool, as_json: bool) -> int:
    """Measure this tree against a revision; return the exit status: 1 if something is slower beyond the noise."""
    found: list[Comparison] = []
    failed = False
    with _two_trees(revision) as trees:
        for case in cases:
            series = {name: Series() for name in trees}
            for number in range(rounds):
                for name in (list(trees), list(trees)[::-1])[number % 2]:
                    print(f"{case.name}, round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
                    _measure(case.name, *trees[name], quick=quick, into=series[name])
            failed |= not series["present"].values
            if all(each.values for each in series.values()):  # the former may not have this case
                found.append(Comparison(case, **series))
    if as_json:
        print(json.dumps([each.as_json() for each in found], indent=1))
    else:
        _print(found, revision)
    return int(failed or any(each.is_slower for each in found))


@contextlib.contextmanager
def _two_trees(revision: str) -> Iterator[dict[str, tuple[Path, dict[str, str]]]]:
    """Yield both trees by name, each with the variables of its processes."""
    with tempfile.TemporaryDirectory(prefix="swell-bench-") as name:
        folder = Path(name)
        with _checked_out(revision, folder / "former") as former:
            trees = {"former": former, "present": ROOT}
            yield {name: (tree, _environment(tree, folder)) for name, tree in trees.items()}


@contextlib.contextmanager
def _checked_out(revision: str, folder: Path) -> Iterator[Path]:
    git = ("git", "-C", str(ROOT), "worktree")
    done = subprocess.run([*git, "add", "-q", "--detach", str(folder), revision], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"scripts/bench: no tree of {revision!r} can be made: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def _environment(tree: Path, folder: Path) -> dict[str, str]:
    """Return variables with which every process finds the code of one tree, compiled once."""
    variables = os.environ | {
        "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}",
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
    }
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-m", "compileall", "-q", tree / "src", tree / "benchmarks"], env=variables)
    return variables


def _measure(name: str, tree: Path, environment: dict[str, str], *, quick: bool, into: Series) -> None:
    """Run a case once; one that fails is reported, and its round left out."""
    command = [sys.executable, "-m", "benchmarks", name, "--one", "swell", *(["--quick"] if quick else [])]
    before = _cpu_s()
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        print(f"  took more than {LIMIT_S} s: left out", file=sys.stderr)
        return
    if done.returncode:
        print(f"  failed, left out:\n{done.stderr}", file=sys.stderr)
        return
    into.values.append(json.loads(done.stdout.splitlines()[-1])["value"])
    into.cpu_s.append(_cpu_s() - before)


def _cpu_s() -> float:
    """Return the CPU time of all that has ended below this process; a server in the background is not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _print(found: Sequence[Comparison], revision: str) -> None:
    table = Table("work", revision, "this tree", "it is", "noise", f"CPU s {revision}", "CPU s this tree")
    for each in found:
        better = each.better_by
        verdict = f"{better:.2f}× better" if better >= 1 else f"{1 / better:.2f}× worse"
        noise = max(each.former.noise, each.present.noise)
        table.add_row(
            f"{each.case.name} ({each.case.unit})",
            f"{each.former.median:,.4g}",
            f"{each.present.median:,.4g}",
            f"[bold red]{verdict}: SLOWER[/]" if each.is_slower else verdict,
            f"{noise:.0%}",
            f"{statistics.median(each.former.cpu_s):.2f}",
            f"{statistics.median(each.present.cpu_s):.2f}",
        )
    console = Console()
    console.print(table, width=None if console.is_terminal else 140)
