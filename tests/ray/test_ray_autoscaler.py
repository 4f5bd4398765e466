"""Ray's autoscaler adds machines for agents that wait, and takes those away that agents have left."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from ray_place import RayCluster, RayPlace, wait_for_ray

from swell.backends.ray.cluster import scaling_of
from swell.backends.ray.messages import Scaling
from swell.slices import Slice

autoscaler_pb2 = pytest.importorskip("ray.core.generated.autoscaler_pb2", exc_type=ImportError)

GATED = """
import os, pathlib, time
import swell

app = swell.App("gated")

@app.function(cpu=4, scaledown_window=2)
def wait(number: int) -> int:
    while not pathlib.Path(os.environ["GATE"]).exists():
        time.sleep(0.01)
    return number

@app.function(cpu=8)
def large() -> None:
    pass
"""


@pytest.fixture
def cloud(cluster: RayCluster) -> Iterator[set[str]]:
    """A cloud that has two machines of four cores to add; the names of the others."""
    others = set(cluster("free"))
    cluster("scale", {"worker": 4}, 2)
    yield others
    cluster("end_scaling")
    wait_for_ray(lambda: set(cluster("free")) == others, lambda: cluster("free"))


def test_machines_come_for_containers_and_go_when_they_are_idle(
    place: RayPlace, cluster: RayCluster, cloud: set[str]
) -> None:
    gate = place.folder / "gate"
    (place.folder / "gated.py").write_text(GATED)
    place.begins(
        cluster,
        SWELL_CPU_OVERCOMMIT="1",
        SWELL_RAY_SLICES="cpu=4",
        SWELL_RAY_AGENTS_MAX="3",
        SWELL_RAY_AGENT_IDLE_S="1",
        GATE=str(gate),
    )
    assert len(set(cluster("free")) - cloud) == 1  # for the least of agents
    refused = place.refused("deploy", "gated.py")
    assert "no slice of ray_slices holds it" in refused

    (place.folder / "gated.py").write_text(GATED.replace("cpu=8", "cpu=4"))
    place.told("deploy", "gated.py")
    calls = [place.spawn("wait", number, app="gated") for number in range(4)]
    place.nodes(2)
    assert len(set(cluster("free")) - cloud) == 2
    said = wait_for_ray(lambda: found if "infeasible" in (found := place.trouble()) else "", lambda: place.trouble())
    assert re.fullmatch(
        r"waiting for 1 node of cpu=4 \(asked Ray over \d+ (s|min) ago; Ray says: infeasible, none of 5 machines has "
        r"that free now, and its autoscaler has no such machine to add\)",
        said,
    )
    assert "waiting for 1 node of cpu=4 (asked Ray over" in place.told("why", "gated.wait")
    assert len(cluster("actors")) == 3  # not four: so many are the most

    gate.touch()
    assert sorted(place.python(f"print(*(swell.FunctionCall.from_id(i).get() for i in {calls}))").split()) == list(
        "0123"
    )
    wait_for_ray(lambda: len(cluster("actors")) == 1, lambda: (cluster("actors"), place.states()))
    wait_for_ray(lambda: len(set(cluster("free")) - cloud) == 1, lambda: cluster("free"))
    assert place.states() == ["ready"]  # the least, which are kept


def test_what_the_autoscaler_says_is_read_as_ray_writes_it() -> None:
    written = autoscaler_pb2.AutoscalingState(
        autoscaler_state_version=3,
        pending_instance_requests=[
            autoscaler_pb2.PendingInstanceRequest(ray_node_type_name="large", count=2),
            autoscaler_pb2.PendingInstanceRequest(ray_node_type_name="small", count=1),
        ],
        pending_instances=[autoscaler_pb2.PendingInstance(ray_node_type_name="large")],
        infeasible_resource_requests=[
            autoscaler_pb2.ResourceRequest(resources_bundle={"CPU": 64, "memory": 1 << 30, "GPU": 1})
        ],
        failed_instance_requests=[
            autoscaler_pb2.FailedInstanceRequest(reason="at first", failed_ts=1),
            autoscaler_pb2.FailedInstanceRequest(reason="no\n  quota", failed_ts=2),
        ],
    )
    assert scaling_of(written) == Scaling(
        is_there=True, starting={"large": 3, "small": 1}, infeasible=(Slice(64.0, 1 << 30, 1),), failure="no quota"
    )
    assert scaling_of(autoscaler_pb2.AutoscalingState()) == Scaling()
