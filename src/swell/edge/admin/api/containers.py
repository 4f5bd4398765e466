"""Operations about containers, and stories of anything. This module must not know how functions are called."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from msgspec import Meta

from swell.edge.admin.api.operation import ApiRequest, Body, Nothing, Operation, Query
from swell.edge.admin.api.schemas import (
    ContainerList,
    ContainerSummary,
    StoryEvent,
    StoryPart,
    StoryTold,
    moment,
)
from swell.errors import NotFoundError
from swell.wire import queries
from swell.wire.messages import Done
from swell.wire.queries import AskStory, ContainerDescription, ContainerRow, DescribeContainer, ListContainers, Story
from swell.wire.queries import StopContainer as StopOrder

__all__ = ["OPERATIONS"]


class ContainerQuery(Query, frozen=True):
    """Which containers."""

    app: Annotated[str, Meta(description="Only those of this app, by name or id.")] = ""
    gone: Annotated[int, Meta(ge=0, le=1_000, description="So many of those that are no more, too.")] = 0


class StopContainer(Body, frozen=True):
    """How a container is to leave."""

    graceful: Annotated[
        bool, Meta(description="Let it finish what it runs; else that is run again in another container.")
    ] = False


async def list_containers(request: ApiRequest[ContainerQuery, None]) -> ContainerList:
    """Containers that run, or are about to."""
    query = request.query
    found = await request.context.ask(queries.ContainerList, partial(ListContainers, app=query.app, gone=query.gone))
    return ContainerList([_summary(row) for row in found.containers])


async def stop_container(request: ApiRequest[Nothing, StopContainer]) -> ContainerSummary:
    """Have a container leave; answered at once, with the container as it is then."""
    container_id, context = request.path["container_id"], request.context
    found = await context.ask(ContainerDescription, partial(DescribeContainer, container_id=container_id))
    await context.ask(Done, partial(StopOrder, container_id=container_id, graceful=request.body.graceful))
    return _summary(found.container)


async def tell_why(request: ApiRequest[Nothing, None]) -> StoryTold:
    """What happened to an input, a call, a container or a function (as `app.function`), when, and why."""
    story = await request.context.ask(Story, partial(AskStory, about=request.path["about"]))
    return StoryTold(
        story.title,
        story.state,
        [StoryEvent(moment(line.at), line.text) for line in story.lines],
        [StoryPart(part.name, part.seconds) for part in story.parts],
    )


def _summary(row: ContainerRow) -> ContainerSummary:
    return ContainerSummary(
        container_id=row.container_id,
        app_id=row.app_id,
        app_name=row.app_name,
        function_name=row.function_name.removesuffix(".*"),
        version=row.version,
        state=row.state,
        requested_at=moment(row.requested_at),
        ready_at=moment(row.ready_at),
        ended_at=moment(row.ended_at),
        running=row.running,
        served=row.served,
        reason=row.reason,
    )


OPERATIONS: Final = (
    Operation("GET", "/containers", list_containers, ContainerList, query=ContainerQuery, errors=(NotFoundError,)),
    Operation(
        "POST",
        "/containers/{container_id}/stop",
        stop_container,
        ContainerSummary,
        body=StopContainer,
        errors=(NotFoundError,),
        status=202,
    ),
    Operation("GET", "/why/{about}", tell_why, StoryTold, errors=(NotFoundError,)),
)
