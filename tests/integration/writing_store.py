"""A server for test_sqlite_store.py that only writes: it says what was answered, until it ends or is ended.

Run as: python writing_store.py PATH [--bytes-max N] [--log-pages-max N] [--unprivileged] [--inline]

Step n spawns call n of one input and ends call n - 1; its commit is answered by a line "n". A store that breaks is
answered by "broken: why", and then the program ends.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import resource
import sys

from swell.ports import StoreBroken
from swell.records import CallEnded, CallRecord, OutputsRecord, SpanRecord
from swell.store.sqlite import writer
from swell.store.sqlite.inline import InlineRule
from swell.store.sqlite.store import SqliteStore

OUTSTANDING = 8
ARGUMENT = bytes(300)


def give_up_privileges() -> None:
    """Be bound by the modes of files, as root otherwise is not: give up all capabilities."""
    nobody_else = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(nobody_else, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


class AlwaysInline(InlineRule):
    """Has all light commits made on the event loop."""

    def allows(self, now: float, *, alone: bool) -> bool:
        return True


async def main(path: str, bytes_max: int, *, inline: bool) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    room = asyncio.Semaphore(OUTSTANDING)

    def broke(error: StoreBroken) -> None:
        say(f"broken: {error}")
        ended.set()
        room.release()

    store = SqliteStore(
        path, soon=loop.call_soon_threadsafe, on_broken=broke, soon_here=loop.call_soon if inline else None
    )
    if inline:
        store._writer._rule = AlwaysInline()
    number = store.restore().sequence
    if bytes_max:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
    say(f"began {number}")

    def answered(number: int) -> None:
        say(str(number))
        room.release()

    while await room.acquire() and not ended.is_set():
        number += 1
        if number > 1:
            before = f"fc-{number - 1}"
            store.append(OutputsRecord(before, 0, 1, [3], b"out"))
            store.append(CallEnded(before, 1, float(number)))
        store.append(
            CallRecord(
                call_id=f"fc-{number}",
                sequence=number,
                function_id="fu-1",
                function_name="f",
                method="",
                parent="",
                opened_at=float(number),
                accepted=1,
                sealed=True,
            )
        )
        store.append(SpanRecord(f"fc-{number}", 0, [len(ARGUMENT)], ARGUMENT))
        store.commit(lambda number=number: answered(number))
    for _ in range(3):  # nothing of this is ever answered
        store.commit(lambda: say("answered after the end"))
        await asyncio.sleep(0)
    store.close()
    await asyncio.sleep(0)
    say("closed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--bytes-max", type=int, default=0)
    parser.add_argument("--log-pages-max", type=int, default=writer.LOG_PAGES_MAX)
    parser.add_argument("--unprivileged", action="store_true")
    parser.add_argument("--inline", action="store_true", help="commit on the event loop")
    options = parser.parse_args()
    writer.LOG_PAGES_MAX = options.log_pages_max  # pyright: ignore[reportConstantRedefinition]
    if options.unprivileged:
        give_up_privileges()
    try:
        asyncio.run(main(options.path, options.bytes_max, inline=options.inline))
    except StoreBroken as error:
        sys.exit(str(error))
