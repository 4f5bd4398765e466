"""The user of a command beside a container: writes down what comes of it, and waits for that."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

from swell.ports import Backend, Pipe
from swell.wire.codec import encode
from swell.wire.exec import Ended, Input, Output, Read, Refused, Run, ToCommand, Took, for_user


class CommandUser:
    """One command, and all that it has written so far."""

    pipe: Pipe

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.status: int | None = None
        self.refused = ""
        self.broken = ""
        self.took = 0
        self._written: dict[int, bytearray] = defaultdict(bytearray)
        self._decoder = for_user()
        self._news = asyncio.Event()

    def run(
        self,
        backend: Backend,
        container_id: str,
        *command: str,
        terminal: tuple[int, int] | None = None,
        variables: dict[str, str] | None = None,
    ) -> CommandUser:
        self.pipe = backend.exec(container_id, self)
        self.tell(Run([word.encode() for word in command], variables or {}, terminal))
        return self

    def tell(self, word: ToCommand, payload: bytes = b"") -> None:
        self.pipe.send(encode(word, payload))

    def type(self, keys: str) -> None:
        self.tell(Input(), keys.encode())

    def text(self, stream: int = 1) -> str:
        return self._written[stream].decode()

    @property
    def size(self) -> int:
        return sum(map(len, self._written.values()))

    # ------------------------------------------------------------ the pipe

    def send(self, data: bytes) -> None:
        assert not (self.broken or self.refused or self.status is not None), "it has ended"
        for word, payload in self._decoder.feed(data):
            match word:
                case Output(stream):
                    self._written[stream] += payload
                    if self.reads:
                        self.tell(Read(len(payload)))
                case Took(count):
                    self.took += count
                case Ended(status):
                    self.status = status
                case Refused(text):
                    self.refused = text
        self._news.set()

    def close(self, why: str = "") -> None:
        self.broken = self.broken or why
        self._news.set()

    # ------------------------------------------------------------ waiting

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            assert not self.refused, self.refused
            self._news.clear()
            await self._news.wait()

    async def wrote(self, text: str) -> str:
        """Wait until it has written a text; return all that it has."""
        await self.until(lambda: text in self.text())
        return self.text()

    async def end(self) -> int:
        await self.until(lambda: self.status is not None)
        assert self.status is not None
        return self.status
