"""Where containers run, by the settings: on this machine, or on nodes, which somebody has to give.

What is not used is not loaded. This module must not know what is done with a backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from swell.backends.gpu import NvmlProvider
from swell.backends.process.backend import ProcessBackend
from swell.config import Settings
from swell.ports import Backend
from swell.server.connection import Connection
from swell.server.data_directory import server_id
from swell.server.paths import ServerPaths
from swell.wire.blob_file import file_bytes_max
from swell.wire.messages import PROTOCOL

if TYPE_CHECKING:
    from swell.backends.agents.backend import AgentProvider

__all__ = ["make_backend"]


def make_backend(
    settings: Settings,
    paths: ServerPaths,
    connect: Callable[[], Connection],
    unreachable: Callable[[str], None],
) -> Backend:
    """Return where containers run.

    Args:
        settings: of the server.
        paths: of the server.
        connect: makes the server's end of what they connect through the backend.
        unreachable: called with the reason if there is nothing that gives nodes.
    """
    if settings.backend == "process":
        return ProcessBackend(NvmlProvider(), paths.run_dir, settings.log_line_max)
    from swell.backends.agents.backend import AgentBackend  # loads TLS
    from swell.backends.agents.bulk import BulkServer

    return AgentBackend(
        _provider(settings, paths, unreachable),
        connect,
        bulk=BulkServer(str(paths.blob_dir), str(paths.bundle_dir), file_bytes_max(settings.payload_max)),
        protocol=PROTOCOL,
        timeout_s=settings.node_timeout_s,
        blob_bytes_max=settings.node_blob_bytes_max,
    )


def _provider(settings: Settings, paths: ServerPaths, unreachable: Callable[[str], None]) -> AgentProvider:
    """Return what starts agents."""
    if settings.backend == "ray":
        from swell.backends.ray.options import RayOptions, check_runtime_env
        from swell.backends.ray.provider import RayAgents
        from swell.backends.ray.wanting import Bounds
        from swell.slices import parse_slices

        options = RayOptions(
            address=settings.ray_address,
            namespace=f"swell-{server_id(paths.data_dir)}",
            slices=parse_slices(settings.ray_slices),
            bounds=Bounds(
                least=settings.ray_agents_min,
                most=settings.ray_agents_max,
                cpu_overcommit=settings.cpu_overcommit,
                memory_overcommit=settings.memory_overcommit,
            ),
            runtime_env=check_runtime_env(settings.ray_runtime_env),
            may_start=paths.data_dir is None,
        )
        return RayAgents(
            options, log_line_max=settings.log_line_max, timeout_s=settings.node_timeout_s, unreachable=unreachable
        )
    from swell.backends.agents.local import LocalAgents

    return LocalAgents(
        settings.agents,
        paths.run_dir / "nodes",
        log_line_max=settings.log_line_max,
        timeout_s=settings.node_timeout_s,
        starters_directory=str(paths.run_dir),
    )
