"""A program whose containers start processes in every way there is. Run as: python leaving.py HOW (to end).

It tells what it started through the board.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import board

import swell

app = swell.App("leaving")


@app.function()
def busy(i: int) -> None:
    """Start children, daemons and forks, and never end."""
    children = [subprocess.Popen(["sleep", "1000"], start_new_session=new).pid for new in (False, True)]
    shell = "setsid env -i sleep 1000 >/dev/null 2>&1 & echo $!"
    daemon = subprocess.run(["sh", "-c", shell], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    forked = os.fork()
    if forked == 0:
        while True:
            signal.pause()
    board.note("pids", os.getpid(), *children, forked, daemon)
    board.note("busy", i)
    time.sleep(1000)


@app.function()
def large(size: int) -> bytes:
    return bytes(size)


def main(how: str) -> None:
    with app.run():
        assert app.session is not None
        board.note("directory", os.path.dirname(app.session.client.address.removeprefix("unix:")))
        large.spawn(5_000_000).get()  # a file that is kept until the end
        call = busy.spawn_map(range(2))
        board.wait_for_note("busy 0", "busy 1")
        board.note("ready")
        if how in ("return", "raise", "exit", "_exit"):
            board.wait_for("leave")  # which is given when the test has seen what there is
        match how:
            case "return":
                return
            case "raise":
                raise RuntimeError("on purpose")
            case "exit":
                sys.exit(3)
            case "_exit":
                os._exit(4)
            case "map":
                busy.for_each([bytes(1_000_000)] * 3)
            case _:
                call.get()


if __name__ == "__main__":
    main(sys.argv[1])
