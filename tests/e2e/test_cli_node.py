"""`swell node`: the machines on which containers run, one of them, and a name that is none."""

from __future__ import annotations

import re

from place import Place


def test_the_machine_is_a_node_with_what_it_has(deployed: Place) -> None:
    deployed.spawn("nap", 3_000)
    deployed.eventually(lambda: [row for row in deployed.json("container", "list") if row["running"]])
    (node,) = deployed.json("node", "list")
    assert (node["name"], node["gpus_used"]) == ("local", 0)
    assert node["cpu_used"] > 0 and node["memory_bytes"] > 0 and node["cores"] > 0
    assert re.search(r"^local +ready +\d+ ", deployed.told("node", "list"), re.MULTILINE)


def test_a_node_is_shown_with_its_containers(deployed: Place) -> None:
    deployed.spawn("nap", 3_000)
    deployed.eventually(lambda: [row for row in deployed.json("container", "list") if row["running"]])
    shown = deployed.json("node", "show", "local")
    on_it = {row["container_id"]: row["function_name"] for row in shown["on_it"]}
    assert shown["containers"] == len(on_it) > 0
    assert "nap" in on_it.values()
    out = deployed.told("node", "show", "local")
    assert all(container_id in out for container_id in on_it)


def test_work_waits_while_the_only_node_drains_and_goes_on_when_it_is_resumed(deployed: Place) -> None:
    deployed.spawn("nap", 3_000)
    deployed.eventually(lambda: [row for row in deployed.json("container", "list") if row["running"]])
    assert "local is drained until" in deployed.told("node", "drain", "local", "--deadline", "0", "--wait")
    try:
        call = deployed.spawn("square", 3)
        assert "all nodes drain (local)" in deployed.told("why", "jobs.square")
        assert "local is drained" in deployed.told("node", "drain", "local", "--wait")
        (node,) = deployed.json("node", "list")
        assert (node["state"], node["containers"], node["drain_until"]) == ("drained", 0, None)
    finally:
        assert "local is ready" in deployed.told("node", "resume", "local")
    deployed.eventually(lambda: deployed.json("call", "show", call)["done"])


def test_a_node_that_is_not_there_is_named_beside_those_that_are(deployed: Place) -> None:
    for command in ("show", "drain", "resume"):
        assert "there is no node 'attic'; there are local" in deployed.refused("node", command, "attic")
