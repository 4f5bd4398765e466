"""What a run leaves behind: a table for people and a JSON file for comparisons. Nothing here measures."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.case import Case, Measured

RESULTS = Path(__file__).resolve().parent / "results"


def summary(case: Case, rounds: dict[str, list[Measured]]) -> dict[str, Any]:
    """Return what is kept of a case: for each contestant the round with the median value."""
    middle = {
        label: sorted(measured, key=lambda one: one.value)[len(measured) // 2]
        for label, measured in rounds.items()
        if measured
    }
    values = {label: one.value for label, one in middle.items()}
    details = {f"{label}: {name}": value for label, one in middle.items() for name, value in one.details.items()}
    return {
        "name": case.name,
        "title": case.title,
        "unit": case.unit,
        "higher_is_better": case.higher_is_better,
        "target": case.target,
        "floor": case.floor,
        "bare": case.bare,
        "meets_target": case.meets(values | details) if case.meets and values.keys() >= {"swell"} else None,
        "contestants": {
            label: {
                "value": one.value,
                "details": one.details,
                **({"table": one.table} if one.table else {}),
                "rounds": [measured.value for measured in rounds[label]],
                "swell_is_better_by": _better_by(case, values, label),
            }
            for label, one in middle.items()
        },
    }


def _better_by(case: Case, values: dict[str, float], label: str) -> float | None:
    """How many times better swell's value is than this one; below 1 it is worse."""
    ours, theirs = values.get("swell"), values[label]
    if label == "swell" or not ours or theirs <= 0 or ours <= 0:
        return None
    return ours / theirs if case.higher_is_better else theirs / ours


def machine() -> dict[str, Any]:
    """Describe where and with what the figures were made."""
    cpu = next((line.split(":")[1] for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    packages = ("swell", "uvloop", "msgspec", "numpy", "loky", "ray", "distributed", "huey")
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu.strip(),
        "cores": len(os.sched_getaffinity(0)),
        "pinning": "none: every process may use every core",
        "load": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: found for name in packages if (found := _version(name))},
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def print_table(cases: list[dict[str, Any]]) -> None:
    """Print a table with one row a contestant, and whether swell reached its target."""
    table = Table(title="The same work, side by side", title_justify="left", show_lines=False)
    for heading, justify in (("case", "left"), ("contestant", "left"), ("value", "right"), ("swell is", "right")):
        table.add_column(heading, justify=justify, overflow="fold")
    table.add_column("details", overflow="fold")
    for case in cases:
        name = case["name"]
        for label, one in case["contestants"].items():
            ratio = one["swell_is_better_by"]
            better = "" if ratio is None else f"{ratio:.1f}× better" if ratio >= 1 else f"{1 / ratio:.1f}× worse"
            details = ", ".join(f"{key} {_short(value)}" for key, value in one["details"].items())
            table.add_row(name, label, f"{_short(one['value'])} {case['unit']}", better, details)
            name = ""
        if case["target"]:
            met = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[case["meets_target"]]
            table.add_row("", f"[dim]target: {case['target']}[/]", met, "", "")
        table.add_section()
    console = Console(width=None if os.isatty(1) else 140)
    console.print(table)
    for case in cases:
        for label, one in case["contestants"].items():
            if "table" in one:
                console.print(_many_figures(f"{case['name']}, {label}", one["table"]))


def _many_figures(title: str, figures: dict[str, dict[str, float]]) -> Table:
    """Return a table of one contestant's figures, each under its column."""
    table = Table("", "", title=title, title_justify="left")
    for row, cells in figures.items():
        table.add_row(row, " · ".join(f"{column}: {_short(value)}" for column, value in cells.items()))
    return table


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def save(result: dict[str, Any], *, as_reference: bool) -> Path:
    """Write a run to benchmarks/results and return the file; the reference run is the one that the docs quote.

    In the reference, the cases of this run take the place of their predecessors, and other cases stay: contestants are
    compared within a case, never across. Such a case says when it ran, where, and how busy the machine was.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    if as_reference:
        path = RESULTS / "reference.json"
        if path.exists():
            former = json.loads(path.read_text())
            where = {key: result[key] for key in ("when", "cpu", "load")}
            new = {case["name"]: {**case, **where} for case in result["cases"]}
            cases = {**{case["name"]: case for case in former["cases"]}, **new}
            result = {**former, "packages": former["packages"] | result["packages"], "cases": list(cases.values())}
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path
