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
    assert re.search(r"^local +\d+ ", deployed.told("node", "list"), re.MULTILINE)


def test_a_node_is_shown_with_its_containers(deployed: Place) -> None:
    deployed.spawn("nap", 3_000)
    deployed.eventually(lambda: [row for row in deployed.json("container", "list") if row["running"]])
    shown = deployed.json("node", "show", "local")
    on_it = {row["container_id"]: row["function_name"] for row in shown["on_it"]}
    assert shown["containers"] == len(on_it) > 0
    assert "nap" in on_it.values()
    out = deployed.told("node", "show", "local")
    assert all(container_id in out for container_id in on_it)


def test_a_node_that_is_not_there_is_named_beside_those_that_are(deployed: Place) -> None:
    assert "there is no node 'attic'; there are local" in deployed.refused("node", "show", "attic")
