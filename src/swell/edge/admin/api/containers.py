"""Operations on containers, and stories of anything. This module must not know how functions are called."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from msgspec import Meta

from swell.documents.containers import ContainerList, ContainerSummary, container_summary
from swell.documents.stories import StoryTold, story_told
from swell.edge.admin.api.operation import ApiRequest, Body, Nothing, Operation, Query
from swell.errors import NotFoundError
from swell.wire import queries
from swell.wire.messages import Done
from swell.wire.queries import AskStory, ContainerDescription, DescribeContainer, ListContainers, Story
from swell.wire.queries import StopContainer as StopOrder

__all__ = ["OPERATIONS"]


class ContainerQuery(Query, frozen=True):
    """Which containers."""

    app: Annotated[str, Meta(description="Only those of this app, by name or id.")] = ""
    gone: Annotated[int, Meta(ge=0, le=1_000, description="The latest so many ended ones, too.")] = 0


class StopContainer(Body, frozen=True):
    """How to stop a container."""

    graceful: Annotated[
        bool, Meta(description="Let it finish the inputs it runs; otherwise they run again in another container.")
    ] = False


async def list_containers(request: ApiRequest[ContainerQuery, None]) -> ContainerList:
    """Containers that run, or are about to."""
    query = request.query
    found = await request.context.ask(queries.ContainerList, partial(ListContainers, app=query.app, gone=query.gone))
    return ContainerList(containers=[container_summary(row) for row in found.containers])


async def stop_container(request: ApiRequest[Nothing, StopContainer]) -> ContainerSummary:
    """Stop a container; the answer comes at once, with the container as it was before."""
    container_id, context = request.path["container_id"], request.context
    found = await context.ask(ContainerDescription, partial(DescribeContainer, container_id=container_id))
    await context.ask(Done, partial(StopOrder, container_id=container_id, graceful=request.body.graceful))
    return container_summary(found.container)


async def tell_why(request: ApiRequest[Nothing, None]) -> StoryTold:
    """What happened to an input, a call, a container or a function (as `app.function`), when, and why."""
    return story_told(await request.context.ask(Story, partial(AskStory, about=request.path["about"])))


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
