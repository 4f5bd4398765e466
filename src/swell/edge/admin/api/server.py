"""Operations on the server as a whole. This module must not know apps."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from msgspec import Meta

from swell.bounds import SECONDS_MAX
from swell.documents.server import (
    LoginToken,
    Node,
    NodeDescription,
    NodeList,
    ServerStatus,
    node,
    node_description,
    node_row,
    refused_machines,
    server_status,
)
from swell.edge.admin.api.operation import ApiContext, ApiRequest, Body, Nothing, Operation
from swell.edge.admin.sessions import LOGIN_S
from swell.errors import NotFoundError
from swell.wire.messages import Done
from swell.wire.queries import ContainerList, GetStatus, ListContainers, ResumeNode, Status
from swell.wire.queries import DrainNode as DrainOrder
from swell.wire.stats import Observation, Observe

__all__ = ["OPERATIONS"]


class DrainNode(Body, frozen=True):
    """How to take a node out of service."""

    deadline_s: Annotated[
        Annotated[float, Meta(ge=0, le=SECONDS_MAX)] | None,
        Meta(
            description="After so many seconds the machine is gone: what still runs shortly before is interrupted, and "
            "runs again. Without it, everything is finished."
        ),
    ] = None


async def get_status(request: ApiRequest[Nothing, None]) -> ServerStatus:
    """How the server is doing."""
    return server_status(await request.context.ask(Status, GetStatus))


async def list_nodes(request: ApiRequest[Nothing, None]) -> NodeList:
    """The machines on which containers run, and what containers have requested of them."""
    seen = await request.context.ask(Observation, Observe)
    return NodeList(nodes=[node(row) for row in seen.nodes], refused_nodes=refused_machines(seen.refused_nodes))


async def describe_node(request: ApiRequest[Nothing, None]) -> NodeDescription:
    """One machine, and the containers on it."""
    name, context = request.path["node"], request.context
    seen = await context.ask(Observation, Observe)
    row = node_row(name, seen.nodes)
    found = await context.ask(ContainerList, partial(ListContainers, app="", gone=0))
    return node_description(row, found.containers)


async def drain_node(request: ApiRequest[Nothing, DrainNode]) -> Node:
    """Take a node out of service; the answer comes at once, with the node as it is then.

    It gets no more containers. Those on it are replaced on other nodes first, then leave when they have finished what
    they run. Once none is left, its state is "drained".
    """
    name, context = request.path["node"], request.context
    await context.ask(Done, partial(DrainOrder, node=name, deadline_s=request.body.deadline_s))
    return await _node(context, name)


async def resume_node(request: ApiRequest[Nothing, None]) -> Node:
    """Take a node that drains into service again. What was told to leave it does so."""
    name, context = request.path["node"], request.context
    await context.ask(Done, partial(ResumeNode, node=name))
    return await _node(context, name)


async def _node(context: ApiContext, name: str) -> Node:
    return node(node_row(name, (await context.ask(Observation, Observe)).nodes))


async def create_login_token(request: ApiRequest[Nothing, None]) -> LoginToken:
    """Make a token that logs in one browser to the dashboard, once, within ten minutes: `swell dashboard` does so.

    The path in the answer leads to a page with a button, which sends POST to the same path. That spends the token.
    """
    token = request.context.mint_login()
    return LoginToken(token=token, path=f"/login?token={token}", expires_in_s=LOGIN_S)


OPERATIONS: Final = (
    Operation("GET", "/status", get_status, ServerStatus),
    Operation("GET", "/nodes", list_nodes, NodeList),
    Operation("GET", "/nodes/{node}", describe_node, NodeDescription, errors=(NotFoundError,)),
    Operation("POST", "/nodes/{node}/drain", drain_node, Node, body=DrainNode, errors=(NotFoundError,), status=202),
    Operation("POST", "/nodes/{node}/resume", resume_node, Node, errors=(NotFoundError,)),
    Operation("POST", "/login-tokens", create_login_token, LoginToken, status=201),
)
