"""`swell node`: lists the machines on which containers run, shows one, and takes one out of service.

This module must not know how they came, or how a container leaves.
"""

from __future__ import annotations

import time
from typing import Final

import click

from swell.cli.options import environment_option, json_option
from swell.cli.rpc import ask
from swell.cli.show import terminal
from swell.cli.show.json_output import fields_of, print_json
from swell.cli.show.numbers import Seconds
from swell.cli.show.table import Column, print_table
from swell.cli.show.times import duration_text, local, time_text
from swell.documents.server import node as node_document
from swell.documents.server import node_description, node_row
from swell.errors import NotFoundError
from swell.escaping import one_line
from swell.names import shown_name
from swell.wire.messages import Done
from swell.wire.queries import ContainerList, ContainerRow, DrainNode, ListContainers, ResumeNode
from swell.wire.stats import LinkRow, NodeRow, Observation, Observe

__all__ = ["node"]

EXAMPLES: Final = """\b
Examples:
  swell node list
  swell node show local --json
  swell node drain node-2 --deadline 120 --wait
"""

LOOK_S: Final = 0.5  #: between two looks at a node that drains
SILENT_S: Final = 2.5  #: a node gives a sign of life every second
NONE_YET: Final = "No nodes yet: their agents are starting"
NONE_LET_IN: Final = "No nodes"

_NODES: Final = (
    Column("Node"),
    Column("State"),
    Column("Containers"),
    Column("Busy Cores"),
    Column("Requested Cores"),
    Column("Requested Memory"),
    Column("GPUs", is_optional=True),
    Column("Link", is_optional=True),
)
_CONTAINERS: Final = (
    Column("Container ID", is_id=True),
    Column("App Name"),
    Column("Function"),
    Column("State"),
    Column("Running"),
    Column("Served"),
)


@click.group(epilog=EXAMPLES, short_help="Nodes: list, show, drain, resume.")
def node() -> None:
    """Show the machines on which the daemon's containers run, or take one out of service."""


@node.command("list", short_help="List nodes.")
@json_option
@environment_option
def list_(as_json: bool) -> None:
    """List the nodes."""
    seen = ask(Observation, Observe)
    if as_json:
        print_json([fields_of(node_document(row)) for row in seen.nodes])
        return
    refused = seen.refused_nodes
    print_table(_NODES, [_cells(row, seen.at) for row in seen.nodes], nothing=NONE_LET_IN if refused else NONE_YET)
    for each in refused:
        terminal.line(f"node {one_line(each.name)} was refused: {one_line(each.reason)}")


@node.command(epilog="Example: swell node show local", short_help="Show one, with its containers.")
@click.argument("name", metavar="NODE")
@json_option
@environment_option
def show(name: str, as_json: bool) -> None:
    """Show one node and the containers on it, the latest first."""
    seen = ask(Observation, Observe)
    row = node_row(name, seen.nodes)
    containers = ask(ContainerList, lambda request: ListContainers(request, "", 0)).containers
    if as_json:
        print_json(fields_of(node_description(row, containers)))
        return
    print_table(_NODES, [_cells(row, seen.at)], nothing="")
    on_it = [_container_cells(each) for each in containers if each.node == name]
    print_table(_CONTAINERS, on_it, nothing="No containers on it")


@node.command(epilog="Example: swell node drain node-2 --wait", short_help="Take one out of service.")
@click.argument("name", metavar="NODE")
@click.option(
    "--deadline",
    "deadline_s",
    type=Seconds(min=0),
    metavar="SECONDS",
    help="The machine is gone after so many seconds: what still runs 5 s before that is interrupted and runs again.",
)
@click.option("--wait", is_flag=True, help="Wait until it has no containers.")
@json_option
@environment_option
def drain(name: str, deadline_s: float | None, wait: bool, as_json: bool) -> None:
    """Take a node out of service: it gets no more containers, and those on it leave.

    They are replaced on other nodes first, as far as these have room, and finish what they run. Work for which there is
    no other node waits. To change the deadline, say it anew. The next daemon has its nodes in service.
    """
    ask(Done, lambda request: DrainNode(request, name, deadline_s))
    row = node_row(name, ask(Observation, Observe).nodes)
    while wait and row.state == "draining":
        time.sleep(LOOK_S)
        try:
            row = node_row(name, ask(Observation, Observe).nodes)
        except NotFoundError:
            terminal.line(f"{name} is gone", err=True)
            return
    _tell(row, as_json=as_json)


@node.command(epilog="Example: swell node resume node-2", short_help="Take one into service again.")
@click.argument("name", metavar="NODE")
@json_option
@environment_option
def resume(name: str, as_json: bool) -> None:
    """Take a node that drains into service again. What was told to leave it does so."""
    ask(Done, lambda request: ResumeNode(request, name))
    _tell(node_row(name, ask(Observation, Observe).nodes), as_json=as_json)


def _tell(row: NodeRow, *, as_json: bool) -> None:
    if as_json:
        print_json(fields_of(node_document(row)))
        return
    left = "; containers left: " + f"{row.containers:,}" if row.state == "draining" else ""
    terminal.line(f"{row.name} is {_state(row)}{left}")


def _state(row: NodeRow) -> str:
    return row.state if row.drain_until is None else f"{row.state} until {time_text(local(row.drain_until))}"


def _cells(row: NodeRow, at: float) -> tuple[str | int | None, ...]:
    return (
        row.name,
        _state(row),
        row.containers,
        f"{row.busy_cores:.1f} of {row.cores:g}",
        f"{row.cpu_used:g}",
        f"{row.memory_used_bytes >> 20:,} of {row.memory_bytes >> 20:,} MiB",
        f"{row.gpus_used} of {row.gpus}" if row.gpus else None,
        None if row.link is None else _link(row.link, at),
    )


def _link(link: LinkRow, at: float) -> str:
    """Return how long an answer takes, or for how long there has been no sign of life."""
    silent_s = at - link.heard_at
    if silent_s > SILENT_S:
        return f"silent for {duration_text(silent_s)}"
    return "" if link.round_trip_s is None else f"{link.round_trip_s * 1e3:.1f} ms"


def _container_cells(row: ContainerRow) -> tuple[str | int | None, ...]:
    function = shown_name(row.function_name)
    return row.container_id, row.app_name, function, row.state, row.running, row.served
