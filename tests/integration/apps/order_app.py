"""A class with every kind of hook, which notes when each of them runs."""

from __future__ import annotations

import board

import swell

if not swell.is_local():
    board.note("order", "import")

app = swell.App("order")


class Base:
    size: str = swell.parameter(default="small")

    @swell.enter()
    def first(self) -> None:
        board.note("order", "Base.first", self.size)

    @swell.enter()
    def overridden(self) -> None:
        board.note("order", "Base.overridden")

    @swell.exit()
    def base_exit(self) -> None:
        board.note("order", "Base.exit")


@app.cls()
class Hooked(Base):
    layers: int = swell.parameter(default=1)
    plain: int

    @swell.enter()
    def last(self) -> None:
        board.note("order", "Hooked.last", self.layers, swell.current_input_id())

    @swell.enter()
    def overridden(self) -> None:
        board.note("order", "Hooked.overridden")

    @swell.exit()
    def own_exit(self) -> None:
        board.note("order", "Hooked.exit", swell.current_input_id())

    @swell.method()
    def run(self, x: int) -> int:
        board.note("order", "run", x)
        return x
