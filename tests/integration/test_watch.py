"""Saved files are noticed, however an editor saves them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swell.cli.reload.watch import Watch


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    found = Watch()
    yield found
    await found.close()


async def changed(watch: Watch) -> list[str]:
    return await asyncio.wait_for(watch.changed(), 30)


async def test_files_written_over_replaced_and_removed_count_and_others_do_not(tmp_path: Path, watch: Watch) -> None:
    mine, other = tmp_path / "mine.py", tmp_path / "other.py"
    mine.write_text("1")
    await watch.follow([str(mine)], time.time() + 60)
    other.write_text("1")
    mine.write_text("2")
    assert await changed(watch) == [str(mine)]
    (tmp_path / "new").write_text("3")
    (tmp_path / "new").replace(mine)
    assert await changed(watch) == [str(mine)]
    mine.unlink()
    assert await changed(watch) == [str(mine)]


async def test_other_python_files_count_as_long_as_something_is_broken(tmp_path: Path, watch: Watch) -> None:
    mine, missing = tmp_path / "mine.py", tmp_path / "missing.py"
    mine.write_text("1")
    await watch.follow([str(mine)], time.time() + 60, any_python=True)
    (tmp_path / "data.txt").write_text("1")
    missing.write_text("1")
    assert await changed(watch) == [str(missing)]
    await watch.follow([str(mine)], time.time() + 60)
    missing.write_text("2")
    mine.write_text("2")
    assert await changed(watch) == [str(mine)]


async def test_what_was_saved_before_anybody_watched_counts(tmp_path: Path, watch: Watch) -> None:
    early, late = tmp_path / "early.py", tmp_path / "late.py"
    early.write_text("1")
    late.write_text("1")
    read_at = late.stat().st_mtime - 0.001
    os.utime(early, (read_at - 10, read_at - 10))
    await watch.follow([str(early), str(late)], read_at)
    assert await changed(watch) == [str(late)]


async def test_a_link_is_noticed_where_it_leads(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "elsewhere").mkdir()
    real, link = tmp_path / "elsewhere" / "real.py", tmp_path / "link.py"
    real.write_text("1")
    link.symlink_to(real)
    await watch.follow([str(link)], time.time() + 60)
    real.write_text("2")
    assert await changed(watch) == [str(link)]
