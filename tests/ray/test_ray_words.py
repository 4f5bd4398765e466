"""What a user is told whose cluster cannot give nodes, and what `ray_runtime_env` does."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from patience import wait_until
from ray_place import START_S, RayCluster, RayPlace
from ray_work import at_start_of_python, state_of, trouble_of

#: Of whoever is asked, only agents.
OTHER_PYTHON = """
import platform, sys
if "swell.agent.main" in sys.orig_argv:
    platform.python_version = lambda: "2.7.18"
"""
NO_SWELL = """
import sys
sys.path[:] = [each for each in sys.path if not each.endswith("/src")]
sys.meta_path[:] = [each for each in sys.meta_path if "swell" not in repr(each)]
"""
USES_IT = """
import swell

app = swell.App("uses")

@app.function()
def look() -> str:
    import os
    import given_by_ray
    return f"{os.environ['COLOUR']} {given_by_ray.WORD}"

@app.local_entrypoint()
def main() -> str:
    return look.remote()
"""


def is_told(place: RayPlace, words: str) -> str:
    """Wait until the status says so; return what it says of nodes."""
    wait_until(lambda: words in place.told("status"), lambda: state_of(place), seconds=START_S, pause_s=0.2)
    return trouble_of(place)


@pytest.mark.usefixtures("held")
def test_slices_that_others_hold_are_told(place: RayPlace, cluster: RayCluster) -> None:
    place.begins(cluster, SWELL_RAY_SLICES="cpu=2", SWELL_RAY_AGENTS_MIN="3")
    place.nodes(2)
    assert "waiting for 1 node of cpu=2 (asked Ray over " in is_told(place, "none of 3 machines has that free now")
    assert not [each for each in Path(f"/proc/{place.server().pid}/maps").read_text().split() if "/ray/" in each]
    assert [each for each in Path(f"/proc/{place.broker().pid}/maps").read_text().split() if "/ray/_raylet" in each]


@pytest.mark.usefixtures("held")
def test_a_machine_with_another_python_is_refused_in_one_line(
    place: RayPlace, cluster: RayCluster, tmp_path: Path
) -> None:
    path = at_start_of_python(tmp_path / "other", OTHER_PYTHON)
    place.starts(cluster, SWELL_RAY_RUNTIME_ENV=json.dumps({"env_vars": {"PYTHONPATH": path}}))
    assert is_told(place, "was refused: it has Python 2.7, the server 3.") == ""


@pytest.mark.usefixtures("held")
def test_a_machine_without_swell_is_told(place: RayPlace, cluster: RayCluster, tmp_path: Path) -> None:
    path = at_start_of_python(tmp_path / "none", NO_SWELL)
    place.starts(cluster, SWELL_RAY_RUNTIME_ENV=json.dumps({"env_vars": {"PYTHONPATH": path}}))
    words = "an agent has failed: the machine that Ray has chosen has no swell: install it there, or name it in"
    assert is_told(place, words).endswith(f"ray_runtime_env (at {cluster.address.partition(':')[0]})")


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"env_vars": {"N": 1}},
            "ray_runtime_env is none that Ray takes: runtime_env['env_vars'] must be of type",
        ),
        (
            {"py_modules": ["/none"]},
            "ray_runtime_env is none that Ray takes: /none is not a valid path",
        ),
        ({"py_modules": ["file:///none.zip"]}, "ray_runtime_env cannot be set up on the machine that Ray has chosen: "),
    ],
)
def test_a_runtime_environment_that_cannot_be_is_told(
    place: RayPlace, cluster: RayCluster, environment: object, words: str
) -> None:
    place.starts(cluster, SWELL_RAY_RUNTIME_ENV=json.dumps(environment))
    assert "Traceback" not in is_told(place, words)


@pytest.mark.usefixtures("held")
def test_containers_have_what_the_runtime_environment_brings(
    place: RayPlace, cluster: RayCluster, tmp_path: Path
) -> None:
    archive = tmp_path / "given.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("given/given_by_ray.py", "WORD = 'leaf'\n")
    environment = {"env_vars": {"COLOUR": "green"}, "py_modules": [f"file://{archive}"]}
    place.begins(cluster, SWELL_RAY_RUNTIME_ENV=json.dumps(environment))
    (place.folder / "uses.py").write_text(USES_IT)
    assert place.told("run", "-q", "-w", "result", "uses.py") == ""
    assert (place.folder / "result").read_text() == "green leaf"
