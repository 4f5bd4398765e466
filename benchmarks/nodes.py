"""A server of this program's own, whose containers run on nodes or on this machine. Nothing here measures."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

NODES = 3


@contextmanager
def running(app: Any, *, on_nodes: bool, **settings: object) -> Iterator[None]:
    """Run an app within the block, once all nodes are there.

    Args:
        app: with its functions.
        on_nodes: whether its containers run on NODES nodes.
        settings: more of the server's, by their names in `swell.config`.
    """
    backend = {"backend": "agents", "agents": NODES} if on_nodes else {"backend": "process"}
    os.environ |= {f"SWELL_{name.upper()}": str(value) for name, value in (backend | settings).items()}
    with app.run():
        while len(nodes_of(app)) < (NODES if on_nodes else 1):
            time.sleep(0.02)
        yield


def hold(function: Any, containers: int) -> None:
    """Give a function so many containers, and wait until they are ready."""
    function.update_autoscaler(min_containers=containers)
    while function.get_current_stats().input_headroom < containers:
        time.sleep(0.005)


def nodes_of(app: Any) -> Sequence[Any]:
    """Return the rows of the nodes that a running app's server has."""
    from swell.sdk.connection.blocking import run_blocking
    from swell.wire.stats import Observe

    link = app.session.client.blocking_link()
    request = link.next_request()
    observation, _ = run_blocking(link.request(request, Observe(request)))
    return observation.nodes


def templates(function: Any, containers: int) -> set[Any]:
    """Return the processes that containers are forked from on all nodes.

    Args:
        function: tells its process, and has containers on each node.
        containers: so many.
    """
    import psutil

    pids: set[int] = set()
    while len(pids) < containers:
        pids.update(function.map(range(100 * containers)))
    return {psutil.Process(pid).parent() for pid in pids}
