"""The files for clusters fit what reads them: Ray's schema, KubeRay's schema, and the shell of a Slurm job.

Nothing of Ray is loaded, and no Slurm is needed: programs that note how they were called stand in for both.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

yaml: Any = pytest.importorskip("yaml")

HERE = Path(__file__).parent

FAKE = """#!/usr/bin/env bash
printf '%s\\0' "$(basename "$0")" "$RAY_AUTH_MODE" "$RAY_AUTH_TOKEN" "$@" > "$CALLS/$$"
"""
#: Each stands in for a program: it notes its arguments, then does this.
FAKES = {
    "srun": 'while [[ "$1" == --* ]]; do shift; done; exec "$@"',
    "scontrol": 'printf "node1\\nnode2\\nnode3\\n"',
    "ray": 'if [ "$1" = start ]; then exec sleep 1000; fi',
    "swell": """
until [ "$(grep -rlsaP '^ray\\x00.*--block' "$CALLS" | wc -l)" = 2 ]; do sleep 0.05; done  # Ray is started twice
echo "nodes: $SWELL_RAY_AGENTS_MIN"
exit 3
""",
}


@pytest.fixture
def files(repository: Path) -> Path:
    return repository / "examples/cluster"


# ---------------------------------------------------------------- ray up


def ray_schema() -> dict[str, Any]:
    found = importlib.util.find_spec("ray")
    if found is None or found.origin is None:  # a folder of tests has the same name
        pytest.skip("Ray is not installed")
    return json.loads((Path(found.origin).parent / "autoscaler/ray-schema.json").read_text())


def test_the_file_for_ray_up_is_what_ray_takes(files: Path) -> None:
    config = yaml.safe_load((files / "ray-up.yaml").read_text())
    jsonschema.validate(config, ray_schema())
    types = config["available_node_types"]
    assert config["head_node_type"] in types
    assert sum(each.get("max_workers", 0) for each in types.values()) >= config["max_workers"]
    assert types["head"]["resources"] == {"CPU": 0}, "the server has the head for itself"


def test_a_misspelt_key_for_ray_up_is_found(files: Path) -> None:
    config = yaml.safe_load((files / "ray-up.yaml").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config | {"max_worker": 1}, ray_schema())


# ---------------------------------------------------------------- KubeRay


def raycluster_schema() -> dict[str, Any]:
    schema = json.loads((HERE / "kuberay/raycluster-1.7.0.json").read_text())
    close(schema)
    return schema


def close(schema: Any) -> None:
    """Have objects whose fields are known take no others, as `kubectl apply` does."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            close(part)
    elif isinstance(schema, list):
        for part in schema:
            close(part)


def documents(files: Path) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in yaml.safe_load_all((files / "kuberay.yaml").read_text())}


def test_the_file_for_kuberay_is_what_kuberay_takes(files: Path) -> None:
    found = documents(files)
    assert list(found) == ["RayCluster", "PersistentVolumeClaim", "NetworkPolicy"]
    cluster = found["RayCluster"]
    assert cluster.pop("apiVersion") == "ray.io/v1"
    jsonschema.validate({"metadata": cluster["metadata"], "spec": cluster["spec"]}, raycluster_schema())


def test_its_parts_name_each_other(files: Path) -> None:
    found = documents(files)
    spec, name = found["RayCluster"]["spec"], found["RayCluster"]["metadata"]["name"]
    assert spec["authOptions"] == {"mode": "token"}
    pod = spec["headGroupSpec"]["template"]["spec"]
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch", (
        "swell refuses what the group may write to"
    )
    (volume,) = pod["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == found["PersistentVolumeClaim"]["metadata"]["name"]
    pods = {"matchLabels": {"ray.io/cluster": name}}
    policy = found["NetworkPolicy"]["spec"]
    assert policy["podSelector"] == policy["ingress"][0]["from"][0]["podSelector"] == pods


@pytest.mark.parametrize(
    "change",
    [
        {"enableInTreeAutoscalling": True},
        {"authOptions": {"mode": "tokens"}},
        {"workerGroupSpecs": [{"groupName": "workers"}]},
    ],
)
def test_what_kuberay_would_refuse_is_found(files: Path, change: dict[str, Any]) -> None:
    spec = documents(files)["RayCluster"]["spec"] | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"spec": spec}, raycluster_schema())


# ---------------------------------------------------------------- Slurm


@pytest.fixture
def job(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The surroundings of a job whose programs note how they were called."""
    programs, calls = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    calls.mkdir()
    for name, does in FAKES.items():
        (programs / name).write_text(f"{FAKE}{does}\n")
        (programs / name).chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    (programs / "activate").write_text(f'PATH="{programs}:$PATH"\n')
    yield os.environ | {
        "SWELL_VENV": str(tmp_path),
        "CALLS": str(calls),
        "SLURM_JOB_ID": "4242",
        "SLURM_JOB_NODELIST": "node[1-3]",
        "SLURM_JOB_NUM_NODES": "3",
        "SLURM_CPUS_PER_TASK": "8",
    }
    for call in calls.iterdir():
        assert not Path(f"/proc/{call.name}").exists(), f"{noted(call)} goes on after the job"


def noted(call: Path) -> list[str]:
    return call.read_text().split("\0")[:-1]


def test_the_job_for_slurm_starts_ray_everywhere_and_ends_it_with_the_program(files: Path, job: dict[str, str]) -> None:
    command = ["bash", files / "slurm.sbatch", "app.py", "--x", "two words"]
    done = subprocess.run(command, env=job, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "nodes: 3\n"), done.stderr

    calls = [noted(each) for each in Path(job["CALLS"]).iterdir()]
    starts = {call[4] == "--head": call for call in calls if call[0] == "ray" and call[3] == "start"}
    head, other = starts[True], starts[False]
    (swell,) = (call for call in calls if call[0] == "swell")
    assert head[1] == other[1] == swell[1] == "token"
    assert len(head[2]) == 64
    assert head[2] == other[2] == swell[2], "all have the same token"

    port = next(each.removeprefix("--port=") for each in head if each.startswith("--port="))
    address = next(each.removeprefix("--address=") for each in other if each.startswith("--address="))
    assert address.endswith(f":{port}")
    assert swell[3:] == ["run", "--backend", "ray", "--address", address, "app.py", "--x", "two words"]


def test_the_job_says_what_it_needs(files: Path, job: dict[str, str]) -> None:
    done = subprocess.run(["bash", files / "slurm.sbatch"], env=job, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: sbatch slurm.sbatch app.py" in done.stderr


# ---------------------------------------------------------------- all


@pytest.mark.parametrize("name", ["ray-up.yaml", "kuberay.yaml", "slurm.sbatch"])
def test_the_page_refers_to_each_file(repository: Path, files: Path, name: str) -> None:
    assert (files / name).exists()
    assert f"../examples/cluster/{name}" in (repository / "docs/cluster.md").read_text()
