"""`swell node`: lists the machines on which containers run, and shows one. This module must not know how they came."""

from __future__ import annotations

from typing import Final

import click

from swell.cli.options import environment_option, json_option
from swell.cli.rpc import ask
from swell.cli.show.json_output import fields_of, print_json
from swell.cli.show.table import Column, print_table
from swell.documents.server import node as node_document
from swell.documents.server import node_description, node_row
from swell.names import shown_name
from swell.wire.queries import ContainerList, ContainerRow, ListContainers
from swell.wire.stats import NodeRow, Observation, Observe

__all__ = ["node"]

EXAMPLES: Final = """\b
Examples:
  swell node list
  swell node show local --json
"""

_NODES: Final = (
    Column("Node"),
    Column("Containers"),
    Column("Busy Cores"),
    Column("Requested Cores"),
    Column("Requested Memory"),
    Column("GPUs", is_optional=True),
)
_CONTAINERS: Final = (
    Column("Container ID", is_id=True),
    Column("App Name"),
    Column("Function"),
    Column("State"),
    Column("Running"),
    Column("Served"),
)


@click.group(epilog=EXAMPLES, short_help="Nodes: list, show.")
def node() -> None:
    """Show the machines on which the daemon's containers run, and what containers have requested of them."""


@node.command("list", short_help="List nodes.")
@json_option
@environment_option
def list_(as_json: bool) -> None:
    """List the nodes."""
    rows = ask(Observation, Observe).nodes
    if as_json:
        print_json([fields_of(node_document(row)) for row in rows])
    else:
        print_table(_NODES, [_cells(row) for row in rows], nothing="No nodes yet: their agents are starting")


@node.command(epilog="Example: swell node show local", short_help="Show one, with its containers.")
@click.argument("name", metavar="NODE")
@json_option
@environment_option
def show(name: str, as_json: bool) -> None:
    """Show one node and the containers on it, the latest first."""
    row = node_row(name, ask(Observation, Observe).nodes)
    containers = ask(ContainerList, lambda request: ListContainers(request, "", 0)).containers
    if as_json:
        print_json(fields_of(node_description(row, containers)))
        return
    print_table(_NODES, [_cells(row)], nothing="")
    on_it = [_container_cells(each) for each in containers if each.node == name]
    print_table(_CONTAINERS, on_it, nothing="No containers on it")


def _cells(row: NodeRow) -> tuple[str | int | None, ...]:
    return (
        row.name,
        row.containers,
        f"{row.busy_cores:.1f} of {row.cores:g}",
        f"{row.cpu_used:g}",
        f"{row.memory_used_bytes >> 20:,} of {row.memory_bytes >> 20:,} MiB",
        f"{row.gpus_used} of {row.gpus}" if row.gpus else None,
    )


def _container_cells(row: ContainerRow) -> tuple[str | int | None, ...]:
    function = shown_name(row.function_name)
    return row.container_id, row.app_name, function, row.state, row.running, row.served
