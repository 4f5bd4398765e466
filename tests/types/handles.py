"""What a type checker knows of handles. Checked, not run: `basedpyright` reports each line that does not hold.

A call that must be refused carries a `pyright: ignore` naming the rule that refuses it; if it were accepted, the comment
would be unnecessary, and that is an error as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

import swell

app = swell.App("types")


@app.function(max_containers=2, retries=swell.Retries(max_retries=1))
def double(x: int) -> int:
    return 2 * x


@app.function()
async def later(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name


@app.function()
def letters(word: str) -> Iterator[str]:
    yield from word


@app.local_entrypoint()
def main() -> None:
    assert_type(double.remote(1), int)
    assert_type(double.local(1), int)
    assert_type(double.spawn(1), swell.FunctionCall[int])
    assert_type(double.spawn(1).get(timeout=1.5), int)
    assert_type(list(double.map([1, 2])), list[int])
    assert_type(list(double.starmap([(1,)], order_outputs=False)), list[int])
    assert_type(later.remote("a", loud=True), str)
    assert_type(double.with_options(cpu=2).remote(1), int)

    double.remote("one")  # pyright: ignore[reportArgumentType]
    double.remote()  # pyright: ignore[reportCallIssue]
    double.remote(x=1, y=2)  # pyright: ignore[reportCallIssue]
    double.spawn(None)  # pyright: ignore[reportArgumentType]
    later.remote("a", True)  # pyright: ignore[reportCallIssue]
    double.remote(1).upper()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def from_async_code() -> None:
    assert_type(await double.remote.aio(1), int)
    assert_type(await later.remote.aio("a"), str)
    assert_type([x async for x in double.map.aio([1])], list[int])
    assert_type(await double.spawn.aio(1), swell.FunctionCall[int])

    await double.remote.aio("one")  # pyright: ignore[reportArgumentType]


app.function(min_containers="two")  # pyright: ignore[reportArgumentType]
app.function(concurrency=1)  # pyright: ignore[reportCallIssue]
