"""The admin port in a process of its own, with no server behind it: `admin_alone.py LOOP DESCRIPTORS NAME=VALUE…`.

It prints its address, and ends with its standard input. LOOP is uvloop or asyncio; DESCRIPTORS is the limit of open
files, 0 for as it is; the rest are settings.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
import tempfile
from typing import Any

import msgspec
import uvloop

from swell.config import Settings
from swell.edge.admin.app import Admin
from swell.edge.traffic import Traffic
from swell.sdk.connection.client import Client

TOKEN = "the-token"


async def serve(settings: Settings) -> None:
    client = Client(f"unix:{tempfile.gettempdir()}/nobody", "", settings)
    admin = Admin(client, settings, TOKEN, list, Traffic())
    print(await admin.start(), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await admin.stop()


def main() -> None:
    loop, descriptors, *given = sys.argv[1:]
    if int(descriptors):
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(descriptors), int(descriptors)))
    logging.basicConfig(level="WARNING")
    values: dict[str, Any] = dict(each.split("=", 1) for each in given)
    settings = msgspec.convert({"admin_port": 0, **values}, Settings, strict=False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else None) as runner:
        runner.run(serve(settings))


if __name__ == "__main__":
    main()
