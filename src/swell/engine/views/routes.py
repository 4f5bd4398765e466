"""Routes: under which label each web function answers, and at which URL. This module must not know who asks."""

from __future__ import annotations

from collections.abc import Iterator

from swell.engine.state.app import App
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.model import AppKind
from swell.names import shown_name
from swell.policy.labels import label_of
from swell.wire.web import Route

__all__ = ["routes", "routes_of", "sites", "urls", "urls_by_function"]


def routes(state: EngineState) -> Iterator[Route]:
    """Yield the routes, each label once: it is of the version that came last, until that ends."""
    taken: set[str] = set()
    for pool in sorted(state.edges.web_pools.values(), key=lambda pool: -pool.deployment.deployed_at):
        if pool.app.closing or pool.app.is_retiring or pool.is_retired:
            continue
        for route in routes_of(state, pool):
            if route.label not in taken:
                taken.add(route.label)
                yield route


def routes_of(state: EngineState, pool: Pool) -> Iterator[Route]:
    """Yield the routes of one pool, whether or not another has a label of its."""
    app, spec = pool.app, pool.spec
    suffix = "" if app.kind is AppKind.DEPLOYED else state.settings.dev_suffix
    name = shown_name(spec.name)
    parameters = spec.cls.parameters if spec.cls is not None else ()
    for method, web in pool.web_methods.items():
        label = label_of(app.name, name, method, own=web.label, suffix=suffix)
        yield Route(
            label=label,
            function_id=pool.id,
            method=method,
            web=web,
            app_id=app.id,
            app_name=app.name,
            function_name=spec.name,
            timeout_s=spec.timeout_s,
            parameters=parameters,
        )


def urls(state: EngineState, app: App) -> dict[str, str]:
    """Return where the web functions of an app answer, by name; none as long as nothing listens."""
    url = state.edges.latest.url
    return {_name_of(route): f"{url}/{route.label}" for route in routes(state) if url and route.app_id == app.id}


def sites(state: EngineState, app: App) -> list[str]:
    """Return the names of an app's web functions that are sites, with or without an edge."""
    return [_name_of(route) for route in routes(state) if route.app_id == app.id and route.web.is_site]


def urls_by_function(state: EngineState) -> dict[str, list[str]]:
    """Return where functions answer, by id: one URL for a function, one for each web method of a class."""
    url = state.edges.latest.url
    found: dict[str, list[str]] = {}
    for route in routes(state) if url else ():
        found.setdefault(route.function_id, []).append(f"{url}/{route.label}")
    return found


def _name_of(route: Route) -> str:
    name = shown_name(route.function_name)
    return f"{name}.{route.method}" if route.method else name
