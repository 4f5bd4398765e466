"""Every setting of swell, defined once: its type, bounds, default and meaning.

`Settings.load()` reads environment (`SWELL_<NAME>`) over file (`~/.swell.toml`) over default. Command-line help and the
reference page are generated from the same table. This module must not know the code that reads a setting.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

from msgspec import Meta, Struct, ValidationError, convert, structs

from swell.errors import InvalidError

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

__all__ = ["Settings", "describe", "networks"]

MIB = 1 << 20

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]


class Settings(Struct, frozen=True, kw_only=True):
    """All settings with their defaults. Field names are the environment names in lower case without `SWELL_`."""

    # Admission limits
    pending_sync_max: Annotated[
        Count, Meta(description="Maximum number of waiting inputs of remote() and map() per function.")
    ] = 2_000
    total_sync_max: Annotated[
        Count, Meta(description="Maximum number of waiting and running inputs of remote() and map() per function.")
    ] = 25_000
    pending_async_max: Annotated[Count, Meta(description="Maximum number of waiting spawned inputs per function.")] = (
        1_000_000
    )
    map_outstanding_max: Annotated[
        int, Meta(ge=1, description="Maximum number of unfinished inputs that one map() may have sent.")
    ] = 1_000
    containers_max: Annotated[
        int, Meta(ge=1, description="Maximum number of containers per function, whatever its max_containers.")
    ] = 4_000
    retry_after_s: Annotated[
        Seconds, Meta(description="Seconds after which a refused client is advised to try again.")
    ] = 0.5
    poison_crashes_max: Annotated[
        int, Meta(ge=1, description="Containers that one input may crash before it fails instead of running again.")
    ] = 8
    start_failures_max: Annotated[
        int, Meta(ge=1, description="Consecutive failed starts after which an ephemeral app's pending inputs fail.")
    ] = 3

    # Scaling
    cpu_overcommit: Annotated[
        float, Meta(gt=0, description="Cores that containers may request for each core of the host.")
    ] = 16.0
    memory_overcommit: Annotated[
        float, Meta(gt=0, description="Bytes of memory that containers may request for each byte of the host.")
    ] = 1.0
    default_scaledown_window: Annotated[
        int, Meta(ge=1, description="Seconds an idle container is kept if the function sets no scaledown_window.")
    ] = 60
    run_ahead_ms: Annotated[
        float,
        Meta(gt=0, description="Milliseconds of work that a slot may hold beyond its input, by measured service time."),
    ] = 5.0
    call_leases: Annotated[
        bool,
        Meta(
            description="Clients that call a function again and again may hold one of its containers for some "
            "milliseconds, and send their calls straight to it. What such calls print stands in the container's log, "
            "but not under the call."
        ),
    ] = False
    start_backoff_s: Annotated[
        Seconds, Meta(description="Seconds of pause after a first failed start; doubles up to a minute.")
    ] = 0.5
    gpu_fallback: Annotated[
        Literal["error", "cpu"],
        Meta(description="If no node can ever satisfy a GPU request: error fails it, cpu warns and runs on the CPU."),
    ] = "error"

    # Faults and time
    retry_delay_min_s: Annotated[Seconds, Meta(description="Shortest retry delay, in seconds.")] = 1.0
    cancel_grace_s: Annotated[
        Seconds, Meta(description="Seconds that cancelled user code may take to end before its container is killed.")
    ] = 5.0
    exit_grace_s: Annotated[
        Seconds, Meta(description="Seconds that exit hooks may take and, when the server stops, running inputs.")
    ] = 30.0
    result_retention_s: Annotated[Seconds, Meta(description="Seconds that results of spawned calls are kept.")] = (
        7 * 86_400.0
    )

    # Spawned calls
    backlog_inputs_max: Annotated[
        int,
        Meta(ge=2, description="Waiting inputs of one spawned call kept in memory; the rest stay in the store."),
    ] = 4_096
    backlog_calls_max: Annotated[
        int, Meta(ge=2, description="Spawned calls of one function kept in memory; the rest stay in the store.")
    ] = 8_192
    backlog_bytes_max: Annotated[
        int, Meta(ge=1_024, description="Bytes of spawned inputs of one function that are kept in memory.")
    ] = 64 * MIB
    timezone: Annotated[
        str,
        Meta(description="Time zone for days, weeks, months and years of a Period; empty: that of this machine."),
    ] = ""

    # Sizes
    payload_inline_max: Annotated[
        int, Meta(ge=1_024, description="Arguments and results of more bytes travel as files, not inside messages.")
    ] = 128 << 10
    payload_max: Annotated[int, Meta(ge=1_024, description="Largest argument or result, in bytes.")] = 4 << 30
    frame_max: Annotated[int, Meta(ge=65_536, description="Largest message accepted on a socket, in bytes.")] = 64 * MIB
    log_bytes_max: Annotated[
        int, Meta(ge=4_096, description="Bytes of container output kept for each app; the oldest are dropped first.")
    ] = 64 * MIB
    disk_reserve_bytes: Annotated[
        Count, Meta(description="Spawns are refused while the data directory's disk has fewer free bytes.")
    ] = 64 * MIB
    log_line_max: Annotated[int, Meta(ge=80, description="Characters after which a line of output is split.")] = (
        16 << 10
    )

    # Nodes
    backend: Annotated[
        Literal["process", "agents", "ray"],
        Meta(
            description="Where containers run: process, on the server's machine; agents (experimental), on "
            "nodes that share nothing with the server but a connection; ray (experimental), on nodes of a Ray cluster."
        ),
    ] = "process"
    agents: Annotated[
        int, Meta(ge=1, le=256, description="Number of nodes that a server with backend = agents starts here.")
    ] = 2
    ray_address: Annotated[
        str,
        Meta(
            description="Ray cluster of a server with backend = ray, as HOST:PORT of its head; auto: RAY_ADDRESS, or "
            "the Ray of this machine. `swell run` starts a small one here if there is none, and ends it; with local, "
            "whatever else is there."
        ),
    ] = "auto"
    ray_slices: Annotated[
        str,
        Meta(
            description="What a node reserves from Ray, as cpu=8,memory=32GiB,gpu=1; the first of several, with spaces "
            "between them, is that of ray_agents_min. Empty: all that is free on a machine."
        ),
    ] = ""
    ray_agents_min: Annotated[
        int, Meta(ge=1, le=10_000, description="Nodes that a server with backend = ray asks of Ray, and keeps.")
    ] = 1
    ray_agents_max: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Nodes that a server with backend = ray asks of Ray at most."),
    ] = 1_000
    ray_agent_idle_s: Annotated[
        float,
        Meta(
            gt=0,
            description="Seconds that a node of Ray has no container, after which it goes, above ray_agents_min.",
        ),
    ] = 60.0
    ray_runtime_env: Annotated[
        str,
        Meta(
            description="Runtime environment of a node's agent, as Ray has it, in JSON; for machines that have no "
            "swell, or another one: one environment a node, not one a container."
        ),
    ] = ""
    node_timeout_s: Annotated[
        float,
        Meta(
            ge=0.5,
            le=86_400,
            description="Seconds without a sign of life after which a node, or to a node its server, is lost.",
        ),
    ] = 5.0
    node_blob_bytes_max: Annotated[
        int,
        Meta(
            ge=MIB,
            description="Bytes that large arguments and results may take on a node. Copies that are not in use make "
            "room; if that is not enough, the input fails.",
        ),
    ] = 8 << 30

    # The daemon
    data_dir: Annotated[
        str,
        Meta(description="Directory of all files of the daemon; empty: swell in the user's data directory."),
    ] = ""
    store_sync: Annotated[
        Literal["full", "normal"],
        Meta(
            description="What an accepted spawned call survives: with full, a power failure; with normal, which is "
            "faster, only a crash of the server."
        ),
    ] = "full"

    listen_host: Annotated[
        str, Meta(description="Address on which the daemon listens for programs on other machines (listen_port).")
    ] = "127.0.0.1"
    listen_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65_535,
            description="Port on which the daemon listens for programs on other machines, which need TLS and a token "
            "there and can then do everything; 0: it does not listen.",
        ),
    ] = 0
    log_format: Annotated[
        Literal["text", "json"],
        Meta(description="Format of the server's own log: text, lines for people; json, one JSON object a line."),
    ] = "text"

    # The web
    web: Annotated[
        bool,
        Meta(description="Whether the server listens for HTTP: web endpoints, dashboard, JSON API and metrics."),
    ] = True
    web_host: Annotated[str, Meta(description="Address on which web endpoints listen.")] = "127.0.0.1"
    web_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65_535,
            description="Port of web endpoints; 0: any. If it is taken, a run without `swell start` uses any other.",
        ),
    ] = 8_700
    admin_host: Annotated[str, Meta(description="Address of dashboard, JSON API and metrics.")] = "127.0.0.1"
    admin_port: Annotated[
        int, Meta(ge=0, le=65_535, description="Port of dashboard, JSON API and metrics; 0: any.")
    ] = 8_701
    admin_body_max: Annotated[
        int, Meta(ge=1_024, description="Largest body of a request to the JSON API, in bytes.")
    ] = MIB
    admin_result_max: Annotated[
        int, Meta(ge=1_024, description="Largest result that the JSON API shows, in bytes; it only names larger ones.")
    ] = 16 * MIB
    admin_connections_max: Annotated[
        int, Meta(ge=1, description="Maximum number of open connections to the admin port.")
    ] = 256
    web_rate: Annotated[
        float, Meta(gt=0, description="Requests per second that all web endpoints together accept.")
    ] = 200.0
    web_trusted_proxies: Annotated[
        str,
        Meta(
            description="Addresses and networks of proxies, with commas between, of which X-Forwarded-For, -Proto and "
            "-Host, or Forwarded, are believed. Empty: of none."
        ),
    ] = "127.0.0.0/8, ::1"
    web_burst_s: Annotated[float, Meta(gt=0, description="Largest burst of requests, as seconds of web_rate.")] = 5.0
    web_body_max: Annotated[int, Meta(ge=0, description="Largest body of a request, in bytes.")] = 4 << 30
    web_head_max: Annotated[int, Meta(ge=1_024, description="Largest head of a request at either port, in bytes.")] = (
        64 << 10
    )
    web_head_timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            description="Seconds allowed for the head of a request, for a pause within its body, and for a pause in "
            "reading the response.",
        ),
    ] = 30.0
    web_wait_s: Annotated[
        float,
        Meta(gt=0, description="Seconds a request waits for its response before its client is redirected to retry."),
    ] = 150.0
    web_variants_max: Annotated[
        Count,
        Meta(
            description="Maximum number of variants of one function that requests use at a time: sets of class "
            "parameters, each with its own containers. A request for one more gets status 429 until a variant is idle. "
            "Variants that programs use are not counted."
        ),
    ] = 32
    web_connections_max: Annotated[int, Meta(ge=1, description="Maximum number of open connections of clients.")] = (
        4_096
    )
    dev_suffix: Annotated[
        str,
        Meta(
            pattern="^[a-z0-9]{1,8}$",
            description="Suffix of the labels of a run that ends with its client: 1 to 8 letters a-z and digits.",
        ),
    ] = "dev"

    # The client: the server it uses, and its behaviour
    server: Annotated[
        str,
        Meta(
            description="Address of the server to use, as unix:/path, or tls://host:port#fingerprint on another "
            "machine; private: each run starts its own; empty: the daemon, if it runs, else a private one."
        ),
    ] = ""
    token: Annotated[str, Meta(description="Secret that clients send to a server that requires one.")] = ""
    async_warnings: Annotated[bool, Meta(description="Warn when a blocking call is made inside an event loop.")] = True
    traceback: Annotated[bool, Meta(description="Show raw tracebacks instead of an error panel.")] = False

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] | None = None,
        file: str | None = None,
        remembered: Mapping[str, str] | None = None,
    ) -> Settings:
        """Read settings from the environment over `~/.swell.toml` over what is remembered over the defaults.

        Raises:
            InvalidError: a value has the wrong type or is out of bounds; names the setting, the value and the bound.
        """
        environ = os.environ if environ is None else environ
        names = cls.__struct_fields__
        in_file = _from_file(os.path.expanduser("~/.swell.toml") if file is None else file, set(names))
        values: dict[str, Any] = {**(remembered or {}), **in_file}
        for name in names:
            text = environ.get(f"SWELL_{name.upper()}")
            if text is not None:
                values[name] = text
        hints = get_type_hints(cls, include_extras=True) if values else {}  # takes 1 ms; most need no hints
        checked: dict[str, Any] = {}
        for name, value in values.items():
            try:
                checked[name] = convert(value, hints[name], strict=False)
            except ValidationError as error:
                choices = get_args(get_args(hints[name])[0])  # of a Literal
                why = f"it is one of {', '.join(choices)}" if choices else str(error)
                raise InvalidError(f"setting {name} (SWELL_{name.upper()}) = {value!r}: {why}") from None
            if name == "web_trusted_proxies":
                try:
                    networks(checked[name])
                except ValueError as error:
                    raise InvalidError(f"setting {name} (SWELL_{name.upper()}) = {value!r}: {error}") from None
        return cls(**checked)


def networks(text: str) -> list[IPv4Network | IPv6Network]:
    """Return the addresses and networks that a setting names, with commas between.

    Raises:
        ValueError: one is neither an address nor a network.
    """
    import ipaddress  # slow to import, and most programs do without

    return [ipaddress.ip_network(each) for each in filter(None, map(str.strip, text.split(",")))]


def _from_file(path: str, known: set[str]) -> dict[str, Any]:
    if not os.path.exists(path):
        return {}
    import tomllib  # slow to import, and most people have no such file

    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InvalidError(f"cannot read settings from {path}: {error}") from None
    unknown = sorted(set(data) - known)
    if unknown:
        raise InvalidError(
            f"{path}: unknown setting {unknown[0]!r}; known ones are listed in the configuration reference"
        )
    return data


def describe() -> list[tuple[str, str, str, str]]:
    """Rows (name, environment variable, default, meaning) for help texts and the reference page."""
    hints = get_type_hints(Settings, include_extras=True)
    rows: list[tuple[str, str, str, str]] = []
    for item in structs.fields(Settings):
        meaning = next(
            (m.description for m in hints[item.name].__metadata__ if isinstance(m, Meta) and m.description), ""
        )
        rows.append((item.name, f"SWELL_{item.name.upper()}", repr(item.default), meaning))
    return rows
