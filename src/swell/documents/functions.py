"""Functions and their autoscalers as documents. This module must not know how a function is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import asdict

from swell.documents.document import Document, Moment, moment
from swell.model import AutoscalerSettings, OutputStatus
from swell.names import shown_name
from swell.wire.messages import AutoscalerState, Stats
from swell.wire.queries import AppRow, FunctionRow
from swell.wire.stats import FunctionMeasures

__all__ = [
    "AutoscalerLayer",
    "AutoscalerLayers",
    "FunctionDetail",
    "FunctionLive",
    "FunctionSummary",
    "autoscaler_layer",
    "autoscaler_layers",
    "function_detail",
    "function_live",
    "function_summary",
    "own_urls",
]

_SUCCESSFUL: Final = frozenset((int(OutputStatus.SUCCESS), int(OutputStatus.GENERATOR_DONE)))


class AutoscalerLayer(Document, frozen=True, kw_only=True):
    """Settings of an autoscaler; null where a layer says nothing."""

    min_containers: int | None = None
    max_containers: int | None = None
    buffer_containers: int | None = None
    scaledown_window: int | None = None  #: seconds that an idle container is kept


class AutoscalerLayers(Document, frozen=True, kw_only=True):
    """Settings in force, and the layers they follow from: those of the decorator, and those that were changed since."""

    effective: AutoscalerLayer
    static: AutoscalerLayer
    override: AutoscalerLayer  #: dropped when the app is deployed again


class FunctionSummary(Document, frozen=True, kw_only=True):
    """One function, or class, and its containers."""

    name: str
    function_id: str
    version: int
    settings: AutoscalerLayer  #: in force
    plan: int  #: containers wanted
    reason: str  #: why so many
    held_back: str  #: why there are fewer; empty if there are as many
    starting: int  #: containers
    busy: int  #: containers
    idle: int  #: containers
    pending: int  #: inputs that wait
    running: int  #: inputs that containers have
    done: int  #: inputs that have ended
    schedule: str  #: empty without one
    next_run: Moment | None
    is_retired: bool  #: the live version does not have it; it finishes the inputs it has
    web_urls: list[str]
    placement: str  #: of its containers on nodes: "pack" or "spread"


class FunctionDetail(Document, frozen=True, kw_only=True):
    """One function, its numbers at this moment, and its autoscaler."""

    app_id: str
    app_name: str
    function: FunctionSummary
    backlog: int  #: inputs that wait for a container
    total_containers: int
    running_inputs: int
    input_headroom: int  #: inputs that the present containers could take at once
    autoscaler: AutoscalerLayers


class FunctionLive(FunctionSummary, frozen=True, kw_only=True):
    """One function with what was measured of it lately."""

    app_id: str
    app_name: str
    requested: int  #: containers that were started and have not ended
    observed: int  #: those of them that are ready
    accepted: int  #: inputs since the server started
    failed: int  #: inputs that ended without success
    rate: float  #: inputs that ended, per second
    wait: dict[str, float] | None  #: seconds from being queued to a container: p50, p90 and p99
    run: dict[str, float] | None  #: seconds in a container: p50, p90 and p99
    autoscaler: AutoscalerLayers


def function_summary(row: FunctionRow, web_urls: list[str]) -> FunctionSummary:
    """Return one function; its web functions answer at these URLs."""
    return FunctionSummary(
        name=shown_name(row.name),
        function_id=row.function_id,
        version=row.version,
        settings=autoscaler_layer(row.settings),
        plan=row.plan,
        reason=row.reason,
        held_back=row.held_back,
        starting=row.starting,
        busy=row.busy,
        idle=row.idle,
        pending=row.pending,
        running=row.running,
        done=row.done,
        schedule=row.schedule,
        next_run=moment(row.next_run),
        is_retired=row.is_retired,
        web_urls=web_urls,
        placement=row.placement,
    )


def own_urls(row: FunctionRow, urls: Mapping[str, str]) -> list[str]:
    """Return those of an app's URLs, which it has by name, that belong to a function, or to the methods of a class."""
    name = shown_name(row.name)
    return [url for owner, url in urls.items() if owner == name or owner.startswith(f"{name}.")]


def function_live(
    seen: FunctionMeasures, *, rate: float, wait: dict[str, float] | None, run: dict[str, float] | None
) -> FunctionLive:
    """Return one function as it was observed, with its rate and times since the observation before."""
    ended = seen.counted.ended.items()
    return FunctionLive(
        **asdict(function_summary(seen.row, seen.urls)),
        app_id=seen.app_id,
        app_name=seen.app_name,
        requested=seen.requested,
        observed=seen.observed,
        accepted=seen.counted.accepted,
        failed=sum(count for status, count in ended if status not in _SUCCESSFUL),
        rate=rate,
        wait=wait,
        run=run,
        autoscaler=AutoscalerLayers(
            effective=autoscaler_layer(seen.row.settings),
            static=autoscaler_layer(seen.static),
            override=autoscaler_layer(seen.override),
        ),
    )


def autoscaler_layer(settings: AutoscalerSettings) -> AutoscalerLayer:
    """Return settings; the server's 0 for "no bound" is null."""
    return AutoscalerLayer(
        min_containers=settings.min_containers,
        max_containers=settings.max_containers or None,
        buffer_containers=settings.buffer_containers,
        scaledown_window=settings.scaledown_window,
    )


def autoscaler_layers(state: AutoscalerState) -> AutoscalerLayers:
    """Return the settings of a function, layer by layer."""
    return AutoscalerLayers(
        effective=autoscaler_layer(state.effective),
        static=autoscaler_layer(state.static),
        override=autoscaler_layer(state.override),
    )


def function_detail(app: AppRow, function: FunctionSummary, stats: Stats, state: AutoscalerState) -> FunctionDetail:
    """Return one function with its numbers at this moment."""
    return FunctionDetail(
        app_id=app.app_id,
        app_name=app.name,
        function=function,
        backlog=stats.backlog,
        total_containers=stats.total_containers,
        running_inputs=stats.running_inputs,
        input_headroom=stats.input_headroom,
        autoscaler=autoscaler_layers(state),
    )
