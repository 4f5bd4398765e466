"""A broker that knows no Ray: `python broker_stand_in.py HOW FILE`. When the socket ends, its pid goes to FILE."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

from swell.backends.ray.messages import SIZE_BYTES, Connected, Ping, Pong, ToBroker, decode_to_broker, encode, size_of


def answer(how: str, message: ToBroker) -> bytes:
    if isinstance(message, Ping):
        return encode(Pong(10_000.0 if how == "waits" else 0.0))
    return encode(Connected(str(os.getpid()), "2", (), False)) + (b"\xff" * 100 if how == "babbles" else b"")


def main() -> None:
    how, file = sys.argv[1:]
    server = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    stream = server.makefile("rb")
    with contextlib.suppress(OSError):  # the server is gone while it is answered
        while len(head := stream.read(SIZE_BYTES)) == SIZE_BYTES:
            server.sendall(answer(how, decode_to_broker(stream.read(size_of(head)))))
    with Path(file).open("a") as ended:
        ended.write(f"{os.getpid()}\n")


if __name__ == "__main__":
    main()
