"""What an import loads: a fresh interpreter proves it, since this one has loaded everything already."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

#: Nothing that a user's process or a container pays for at start may pull in one of these.
HEAVY = {
    "aiohttp",
    "apsw",
    "click",
    "cyclopts",
    "fastapi",
    "httptools",
    "importlib.metadata",
    "numpy",
    "pkg_resources",
    "psutil",
    "psycopg",
    "pydantic",
    "pynvml",
    "ray",
    "rich",
    "setuptools",
    "sqlite3",
    "starlette",
    "typer",
    "uvicorn",
    "uvloop",
    "websockets",
}


def loaded_by(program: str) -> set[str]:
    """Run a program in a fresh interpreter and return the modules it ends with."""
    report = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program + report], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


DECLARING = """
import swell

for name in swell.__all__:
    getattr(swell, name)

app = swell.App("x")

@app.function(serialized=True)
def f(x):
    return x
"""


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("import swell", id="the package"),
        pytest.param(DECLARING, id="every public name and a function"),
        pytest.param("import swell.runner.main", id="the program in a container"),
        pytest.param("import swell.runner.template", id="the template"),
    ],
)
def test_nothing_heavy_is_loaded(program: str) -> None:
    assert loaded_by(program) & HEAVY == set()


def test_a_container_starts_without_an_event_loop() -> None:
    assert "asyncio" not in loaded_by("import swell.runner.template, swell.runner.main")


def test_the_package_itself_loads_nothing_of_its_own() -> None:
    ours = {name for name in loaded_by("import swell") if name.startswith("swell.")}
    assert ours == set(), "the root exports lazily"


def test_the_command_line_answers_before_it_loads_the_server() -> None:
    loaded = loaded_by("import swell.cli.main")
    assert not {name for name in loaded if name.startswith(("swell.server", "swell.engine", "swell.sim"))}


def test_a_server_with_nodes_of_a_ray_cluster_loads_no_ray() -> None:
    """Nor does an actor's agent, or the broker before it is told which cluster."""
    loaded = loaded_by(
        "import swell.server.main, swell.agent.main, swell.backends.agents.backend, swell.backends.ray.provider, "
        "swell.backends.ray.host, swell.backends.ray.broker"
    )
    assert "ray" not in loaded


@pytest.mark.parametrize("module", ["swell.engine.engine", "swell.policy.autoscale", "swell.model", "swell.states"])
def test_what_decides_loads_no_event_loop(module: str) -> None:
    assert "asyncio" not in loaded_by(f"import {module}")
