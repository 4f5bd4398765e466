"""Run cases: each contestant of each round in a fresh process, in turn, so that none inherits another's state."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.against import ROUNDS, compare
from benchmarks.case import Case, Measured
from benchmarks.cases import CASES
from benchmarks.report import machine, print_table, save, summary


def main() -> int:
    """Parse the command line and run what it asks for."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"cases to run (default: all): {', '.join(CASES)}")
    parser.add_argument("--quick", action="store_true", help="less work and one round: a first look, not a figure")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of a table")
    parser.add_argument(
        "--reference", action="store_true", help="keep the run as the one that docs/performance.md quotes"
    )
    parser.add_argument(
        "--against", metavar="REV", help="measure a commit and this tree in turns, and compare these two"
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help=f"with --against: turns of each (default: {ROUNDS})"
    )
    parser.add_argument("--one", metavar="CONTESTANT", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    found = {name: _found(name) for name in wanted.names or CASES}
    unknown = [name for name, cases in found.items() if not cases]
    if unknown:
        parser.error(f"no case is named {unknown[0]!r}; there are {', '.join(CASES)}")
    cases = [case for cases in found.values() for case in cases]
    if wanted.one:
        print(json.dumps(asdict(cases[0].contestants[wanted.one](wanted.quick))))
        return 0
    if wanted.against:
        cases = [case for case in cases if "swell" in case.contestants]
        return compare(cases, wanted.against, rounds=wanted.rounds, quick=wanted.quick, as_json=wanted.json)

    result = {**machine(), "quick": wanted.quick, "cases": [run(case, wanted.quick) for case in cases]}
    path = save(result, as_reference=wanted.reference)
    if wanted.json:
        print(json.dumps(result, indent=1))
    else:
        print_table(result["cases"])
        print(f"kept in {path.relative_to(Path.cwd())}" if path.is_relative_to(Path.cwd()) else f"kept in {path}")
    return 0


def _found(name: str) -> list[Case]:
    """Return the case of a name, or those whose names begin with it and a hyphen."""
    if name in CASES:
        return [CASES[name]]
    return [case for case in CASES.values() if case.name.startswith(f"{name}-")]


def run(case: Case, quick: bool) -> dict[str, object]:
    """Let every contestant of a case have its turn, round after round."""
    rounds: dict[str, list[Measured]] = {label: [] for label in case.contestants}
    for number in range(1 if quick else case.rounds):
        for label in case.contestants:
            print(f"{case.name}, round {number + 1}: {label}", file=sys.stderr, flush=True)
            measured = run_one(case, label, quick)
            if measured:
                rounds[label].append(measured)
    return summary(case, rounds)


def run_one(case: Case, label: str, quick: bool) -> Measured | None:
    """Measure one contestant in a process of its own; one that fails is reported and left out."""
    command = [sys.executable, "-m", "benchmarks", case.name, "--one", label, *(["--quick"] if quick else [])]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=case.limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with all that it started
        process.communicate()
        print(f"  took more than {case.limit_s:g} s: left out", file=sys.stderr)
        return None
    if process.returncode:
        print(f"  failed, left out:\n{errors}", file=sys.stderr)
        return None
    return Measured(**json.loads(output.splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(main())
