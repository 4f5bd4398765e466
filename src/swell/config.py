"""Every setting of swell, defined once: its type, bounds, default and meaning.

`Settings.load()` reads environment (`SWELL_<NAME>`) over file (`~/.swell.toml`) over default. Command-line help and the
reference page are generated from the same table. This module must not know who reads a setting.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_type_hints

from msgspec import Meta, Struct, ValidationError, convert, structs

from swell.errors import InvalidError

__all__ = ["Settings", "describe"]

MIB = 1 << 20

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]


class Settings(Struct, frozen=True, kw_only=True):
    """All settings with their defaults. Field names are the environment names in lower case without `SWELL_`."""

    # Admission limits
    pending_sync_max: Annotated[Count, Meta(description="Inputs of remote() and map() that may wait per function.")] = (
        2_000
    )
    total_sync_max: Annotated[
        Count, Meta(description="Inputs of remote() and map() that may wait or run per function.")
    ] = 25_000
    pending_async_max: Annotated[Count, Meta(description="Spawned inputs that may wait per function.")] = 1_000_000
    map_outstanding_max: Annotated[
        int, Meta(ge=1, description="Inputs one map may have sent and not yet finished.")
    ] = 1_000
    containers_max: Annotated[int, Meta(ge=1, description="Containers per function, whatever it asks for.")] = 4_000
    retry_after_s: Annotated[
        Seconds, Meta(description="Advice sent with a refusal: try again after so many seconds.")
    ] = 0.5
    poison_crashes_max: Annotated[
        int, Meta(ge=1, description="Containers one input may take down before it fails instead of being re-run.")
    ] = 8
    start_failures_max: Annotated[
        int, Meta(ge=1, description="Consecutive failed starts after which an ephemeral app's pending inputs fail.")
    ] = 3

    # Scaling
    cpu_overcommit: Annotated[
        float, Meta(gt=0, description="Cores that may be requested for each core of the host.")
    ] = 16.0
    memory_overcommit: Annotated[
        float, Meta(gt=0, description="Memory that may be requested for each byte of the host.")
    ] = 1.0
    default_scaledown_window: Annotated[
        int, Meta(ge=1, description="Seconds an idle container is kept when the function does not say.")
    ] = 60
    run_ahead_ms: Annotated[
        float, Meta(gt=0, description="Work one slot may hold beyond the input it executes, by measured service time.")
    ] = 5.0
    start_backoff_s: Annotated[
        Seconds, Meta(description="First pause after a failed start; doubles up to a minute.")
    ] = 0.5
    gpu_fallback: Annotated[
        Literal["error", "cpu"],
        Meta(description="What to do when no node can ever satisfy a GPU request: fail, or warn and run on the CPU."),
    ] = "error"

    # Faults and time
    retry_delay_min_s: Annotated[Seconds, Meta(description="Floor of every retry delay.")] = 1.0
    cancel_grace_s: Annotated[
        Seconds, Meta(description="How long user code may resist a cancellation before its container is killed.")
    ] = 5.0
    exit_grace_s: Annotated[
        Seconds, Meta(description="How long exit hooks may take, and when the server stops, what runs.")
    ] = 30.0
    result_retention_s: Annotated[Seconds, Meta(description="How long results of spawned calls are kept.")] = (
        7 * 86_400.0
    )

    # What is spawned
    backlog_inputs_max: Annotated[
        int,
        Meta(ge=2, description="Waiting inputs of one spawned call that are kept in memory; others stay in the store."),
    ] = 4_096
    backlog_calls_max: Annotated[
        int, Meta(ge=2, description="Spawned calls of one function that are kept in memory; others stay in the store.")
    ] = 8_192
    backlog_bytes_max: Annotated[
        int, Meta(ge=1_024, description="Bytes of the spawned inputs of one function that are kept in memory.")
    ] = 64 * MIB
    timezone: Annotated[
        str,
        Meta(description="Zone in which days, weeks, months and years of a Period are counted; empty: this machine's."),
    ] = ""

    # Bytes
    payload_inline_max: Annotated[
        int, Meta(ge=1_024, description="Larger arguments and results travel as files instead of inside messages.")
    ] = 128 << 10
    payload_max: Annotated[int, Meta(ge=1_024, description="Largest single argument or result.")] = 4 << 30
    frame_max: Annotated[int, Meta(ge=65_536, description="Largest message accepted on a socket.")] = 64 * MIB
    log_bytes_max: Annotated[
        int, Meta(ge=4_096, description="Bytes of container output that are kept for each app; the oldest go first.")
    ] = 64 * MIB
    disk_reserve_bytes: Annotated[
        Count, Meta(description="Free bytes of the data directory's disk below which nothing more can be spawned.")
    ] = 64 * MIB
    log_line_max: Annotated[int, Meta(ge=80, description="Longer output lines are split.")] = 16 << 10

    # The daemon
    data_dir: Annotated[
        str,
        Meta(description="Where the daemon keeps everything; empty: swell in the user's data directory."),
    ] = ""
    store_sync: Annotated[
        Literal["full", "normal"],
        Meta(
            description="What a spawned call survives once it is accepted: with full a loss of power, with normal, "
            "which is faster, a crash of the server only."
        ),
    ] = "full"

    log_format: Annotated[
        Literal["text", "json"],
        Meta(description="How the server writes its own log: lines for people, or one JSON object a line."),
    ] = "text"

    # The web
    web: Annotated[
        bool,
        Meta(description="Whether a server listens for HTTP: web endpoints, dashboard, JSON API and metrics."),
    ] = True
    web_host: Annotated[str, Meta(description="Address at which web endpoints answer.")] = "127.0.0.1"
    web_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65_535,
            description="Port of web endpoints; 0: any. A run without `swell start` takes any if it is taken.",
        ),
    ] = 8_700
    admin_host: Annotated[str, Meta(description="Address at which dashboard, JSON API and metrics answer.")] = (
        "127.0.0.1"
    )
    admin_port: Annotated[
        int, Meta(ge=0, le=65_535, description="Port of dashboard, JSON API and metrics; 0: any.")
    ] = 8_701
    admin_body_max: Annotated[
        int, Meta(ge=1_024, description="Bytes that the body of a request to the JSON API may have.")
    ] = MIB
    admin_result_max: Annotated[
        int, Meta(ge=1_024, description="Bytes of one result that the JSON API shows; a larger one it only names.")
    ] = 16 * MIB
    admin_connections_max: Annotated[
        int, Meta(ge=1, description="Connections to the admin port that are open at once.")
    ] = 256
    web_rate: Annotated[float, Meta(gt=0, description="Requests per second that web endpoints take together.")] = 200.0
    web_burst_s: Annotated[
        float, Meta(gt=0, description="Requests that may come at once, as seconds of that rate.")
    ] = 5.0
    web_body_max: Annotated[int, Meta(ge=0, description="Bytes that the body of a request may have.")] = 4 << 30
    web_head_max: Annotated[
        int, Meta(ge=1_024, description="Bytes that the head of a request may have, at either port.")
    ] = 64 << 10
    web_head_timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            description="How long the head of a request may take, a pause within its body, and a pause in reading the "
            "answer.",
        ),
    ] = 30.0
    web_wait_s: Annotated[
        float, Meta(gt=0, description="How long a request waits for its answer before its client is told to come back.")
    ] = 150.0
    web_variants_max: Annotated[
        Count,
        Meta(
            description="Variants of one function that requests may bring into being at a time: sets of class "
            "parameters, each with containers of its own. A request for another gets status 429 until one is idle. "
            "Variants that programs use are not counted."
        ),
    ] = 32
    web_connections_max: Annotated[int, Meta(ge=1, description="Connections of clients that are open at once.")] = 4_096
    dev_suffix: Annotated[
        str,
        Meta(
            pattern="^[a-z0-9]{1,8}$",
            description="End of the labels of a run that ends with its client: up to 8 letters and digits.",
        ),
    ] = "dev"

    # The way to the server, and behaviour of the client
    server: Annotated[
        str,
        Meta(
            description="Address of the server to use, as unix:/path; private: each run starts its own; empty: the "
            "daemon, if it runs, else a private one."
        ),
    ] = ""
    token: Annotated[str, Meta(description="Secret that clients show to a server which has one.")] = ""
    async_warnings: Annotated[bool, Meta(description="Warn when a blocking call is made inside an event loop.")] = True
    traceback: Annotated[bool, Meta(description="Show raw tracebacks instead of an error panel.")] = False

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, file: str | None = None) -> Settings:
        """Read settings from the environment over `~/.swell.toml` over the defaults.

        Raises:
            InvalidError: a value has the wrong type or is out of bounds; names the setting, the value and the bound.
        """
        environ = os.environ if environ is None else environ
        names = cls.__struct_fields__
        values: dict[str, Any] = _from_file(os.path.expanduser("~/.swell.toml") if file is None else file, set(names))
        for name in names:
            text = environ.get(f"SWELL_{name.upper()}")
            if text is not None:
                values[name] = text
        hints = get_type_hints(cls, include_extras=True) if values else {}  # a millisecond that most can save
        checked: dict[str, Any] = {}
        for name, value in values.items():
            try:
                checked[name] = convert(value, hints[name], strict=False)
            except ValidationError as error:
                raise InvalidError(f"setting {name} (SWELL_{name.upper()}) = {value!r}: {error}") from None
        return cls(**checked)


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
