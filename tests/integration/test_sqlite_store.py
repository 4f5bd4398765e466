"""What only a store on disk has: processes that are killed, disks that are full, files that are damaged or foreign."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec import msgpack, structs
from patience import patience
from programs import Programs

from swell.model import AppKind, FunctionSpec, Source
from swell.ports import StoreBroken
from swell.records import (
    AppRecord,
    CallEnded,
    CallRecord,
    ContainerRecord,
    FunctionRecord,
    OutputsRecord,
    Record,
    Restored,
    SpanRecord,
    Waiting,
    Window,
)
from swell.store.sqlite import journal, stopwatch, writer
from swell.store.sqlite import store as store_module
from swell.store.sqlite.batch_writer import BatchWriter
from swell.store.sqlite.database import Database
from swell.store.sqlite.inline import WEIGHT_MAX, InlineRule
from swell.store.sqlite.job import Job
from swell.store.sqlite.journal import SUFFIXES, Journal
from swell.store.sqlite.statements import migrations, statements
from swell.store.sqlite.store import SqliteStore
from swell.store.sqlite.writer import Writer

WRITING = Path(__file__).with_name("writing_store.py")

Writing = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "swell.db")


class AlwaysInline(InlineRule):
    """Has all light commits made on the event loop."""

    def allows(self, now: float, *, alone: bool) -> bool:
        return True


#: Where light commits are made.
inline_or_not = pytest.mark.parametrize("inline", [False, True], ids=["thread", "inline"])


class Opened:
    """A store, how to ask it, and what it said when it broke."""

    def __init__(self, path: str, *, inline: bool = False, **options: Any) -> None:
        loop = asyncio.get_running_loop()
        self.broken: asyncio.Future[StoreBroken] = loop.create_future()
        soon = loop.call_soon_threadsafe
        if inline:
            options["soon_here"] = loop.call_soon
        self.store = SqliteStore(path, soon=soon, on_broken=self.broken.set_result, **options)
        if inline:
            self.store._writer._rule = AlwaysInline()

    async def ask(self, method: str, *arguments: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        getattr(self.store, method)(*arguments, lambda *found: answer.set_result(*(found or [None])))
        done, _ = await asyncio.wait({answer, self.broken}, timeout=patience(), return_when=asyncio.FIRST_COMPLETED)
        assert answer in done, f"no answer to {method}; {done}"
        return answer.result()

    async def committed(self, *records: Record) -> None:
        for record in records:
            self.store.append(record)
        await self.ask("commit")


@contextlib.contextmanager
def opened(path: str, **options: Any) -> Iterator[Opened]:
    one = Opened(path, **options)
    one.store.restore()
    try:
        yield one
    finally:
        one.store.close()


def restored(path: str) -> Restored:
    with opened(path) as one:
        return one.store.restore()


def spawned(number: int, size: int = 100) -> list[Record]:
    name = f"fc-{number}"
    return [
        CallRecord(
            call_id=name,
            sequence=number,
            function_id="fu-1",
            function_name="f",
            method="",
            parent="",
            opened_at=50.0,
            accepted=1,
            sealed=True,
        ),
        SpanRecord(name, 0, [size], bytes(size)),
    ]


def ended(number: int, ended_at: float = 60.0, payload: bytes = b"out") -> list[Record]:
    name = f"fc-{number}"
    return [OutputsRecord(name, 0, 1, [len(payload)], payload), CallEnded(name, 1, ended_at)]


@pytest.fixture
def writing(programs: Programs) -> Writing:
    """Start writing_store.py on a file, with options."""

    def start(path: str, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(WRITING), path, *options]
        return programs.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


# ---------------------------------------------------------------- the end of a process


def is_in_use(path: str) -> bool:
    """True if there are records in the journal."""
    return any(Path(path + suffix).read_bytes()[:4] == b"swj1" for suffix in SUFFIXES)


async def check_prefix(path: str, answered: int) -> int:
    """Check that the file has the first so many steps of writing_store.py, all that were answered, and nothing else."""
    with opened(path) as one:
        found = one.store.restore()
        last = found.sequence
        assert last >= answered
        assert found.waiting == ({"fu-1": Waiting(1, 1)} if last else {})
        for number in range(max(1, last - 100), last):
            assert (await one.ask("read_call", f"fc-{number}")).ended_at == number + 1
            (output,) = await one.ask("read_outputs", f"fc-{number}", 0, 1)
            assert output.payload == b"out"
        if last:
            loaded = await one.ask("load_call", f"fc-{last}", Window(9, 999))
            assert [len(span.payload) for span in loaded.spans.spans] == [300]
    return last


@pytest.mark.timeout(180)
async def test_a_killed_process_leaves_all_that_was_answered_and_nothing_half_done(path: str, writing: Writing) -> None:
    steps, journals, chance = 0, 0, random.Random(1)
    for turn in range(14):
        # Every other time the log is moved to the file again and again, so that the end may come in the middle of that;
        # and half of the time, records are in the journal when the end comes.
        options = ["--log-pages-max", "20"] if turn % 2 else []
        process = writing(path, *options, *(["--inline"] if turn % 4 > 1 else []))
        assert process.stdout is not None
        assert process.stdout.readline() == f"began {steps}\n"
        answered = steps
        for _ in range(chance.choice([0, 1, 5, 50, 400])):
            answered = int(process.stdout.readline())
        process.kill()
        rest = process.stdout.read().splitlines()
        process.communicate()
        journals += turn % 4 > 1 and is_in_use(path)
        steps = await check_prefix(path, int(rest[-1]) if rest else answered)
    assert steps > 400
    assert journals, "no end has come while records were in the journal"


async def test_a_file_belongs_to_one_process(path: str, writing: Writing) -> None:
    process = writing(path)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(StoreBroken, match=f"{path} is in use by another process: stop that server"):
        Opened(path).store.restore()
    process.kill()
    process.communicate()
    with opened(path), pytest.raises(StoreBroken, match="in use"):
        Opened(path).store.restore()
    restored(path)


# ---------------------------------------------------------------- disks


@inline_or_not
async def test_a_full_disk_ends_the_store_and_costs_nothing_that_was_answered(
    path: str, writing: Writing, inline: bool
) -> None:
    restored(path)
    process = writing(path, "--bytes-max", str(147 * 4_096), *(["--inline"] if inline else []))
    output, errors = process.communicate(timeout=patience(60.0))
    began, *lines = output.splitlines()
    assert began == "began 0", errors
    cannot = rf"broken: cannot (read or )?write {path}(-accepted-[01])? \(File too large\): see to the disk"
    assert re.match(cannot, lines[-2])
    assert lines[-1] == "closed"
    answered = [int(line) for line in lines[:-2]]
    assert answered == list(range(1, len(answered) + 1))
    assert len(answered) > 20
    await check_prefix(path, len(answered))


@inline_or_not
async def test_a_database_without_room_breaks_at_the_commit_that_does_not_fit(
    path: str, monkeypatch: pytest.MonkeyPatch, inline: bool
) -> None:
    def small(path: str, synchronous: Any) -> Database:
        database = Database(path, synchronous)
        database.value("PRAGMA max_page_count = 60")
        return database

    monkeypatch.setattr(store_module, "Database", small)
    one = Opened(path, inline=inline)
    one.store.restore()
    await one.committed(*spawned(1))
    answers = list[int]()
    for number in range(100, 120):  # light enough for the event loop
        for record in spawned(number, size=10_000):
            one.store.append(record)
    one.store.commit(lambda: answers.append(2))
    for record in spawned(3):
        one.store.append(record)
    one.store.commit(lambda: answers.append(3))
    one.store.read_call("fc-1", lambda _: answers.append(1))
    error = await asyncio.wait_for(one.broken, 30)
    assert str(error).startswith(f"there is no room for {path}")
    with pytest.raises(StoreBroken, match="no room"):
        one.store.restore()
    one.store.close()
    await asyncio.sleep(0)
    assert answers == []
    monkeypatch.undo()
    found = restored(path)
    assert (found.sequence, found.waiting) == (1, {"fu-1": Waiting(1, 1)})


@pytest.mark.parametrize("place", ["no/such/directory.db", ".", "file/swell.db"])
async def test_a_place_that_cannot_be_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    path = str(tmp_path / place)
    with pytest.raises(StoreBroken, match=re.escape(f"cannot open {path} (")):
        Opened(path).store.restore()


@pytest.mark.parametrize("what", ["file", "directory", "file and directory"])
def test_what_is_read_only_is_refused(tmp_path: Path, what: str, writing: Writing) -> None:
    """In a process without privileges: for root, nothing is read-only."""
    path = tmp_path / "swell.db"
    Database(str(path)).close()
    if "file" in what:
        path.chmod(0o400)
    if "directory" in what:
        tmp_path.chmod(0o500)
    process = writing(str(path), "--unprivileged")
    try:
        _, errors = process.communicate(timeout=patience(60.0))
    finally:
        tmp_path.chmod(0o700)
    assert process.returncode == 1
    assert errors.startswith(f"cannot open {path} ("), errors
    assert errors.endswith("this user must be able to write the file and its directory\n")


def test_files_are_for_their_owner_alone(path: str) -> None:
    before = os.umask(0)
    try:
        database = Database(path)
        modes = {name: stat.S_IMODE(os.stat(path + name).st_mode) for name in ("", "-wal")}
        database.close()
    finally:
        os.umask(before)
    assert modes == {"": 0o600, "-wal": 0o600}
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


# ---------------------------------------------------------------- files that are not what they should be


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: str) -> None:
    with open(path, "xb") as file:  # noqa: ASYNC230
        file.write(b"not a database" * 1_000)
    with pytest.raises(StoreBroken, match=f"{path} is damaged, or no database"):
        Opened(path).store.restore()
    assert size(path) == 14_000


async def test_a_database_of_another_program_is_refused(path: str) -> None:
    other = apsw.Connection(path)
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    with pytest.raises(StoreBroken, match=f"{path} is a database of another program"):
        Opened(path).store.restore()


async def test_a_database_of_a_newer_version_is_refused(path: str) -> None:
    restored(path)
    newer = apsw.Connection(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreBroken, match=f"{path} was written by a newer swell: its tables are of version 99"):
        Opened(path).store.restore()


async def test_damage_is_told_when_it_is_met(path: str) -> None:
    with opened(path) as one:
        await one.committed(
            *(
                ContainerRecord(
                    container_id=f"ta-{n}",
                    app_id="ap-1",
                    function_id="fu-1",
                    function_name="f",
                    requested_at=1.0,
                    ended_at=2.0,
                    reason="idle",
                )
                for n in range(500)
            )
        )
        await one.committed(*spawned(1))
    scratch(path, "containers")
    one = Opened(path)
    assert one.store.restore().sequence == 1
    await one.ask("read_call", "fc-1")
    answers = list[Any]()
    one.store.read_containers("", 500, answers.append)
    error = await asyncio.wait_for(one.broken, 30)
    assert str(error).startswith(f"{path} is damaged (")
    one.store.commit(partial(answers.append, "committed"))
    one.store.close()
    await asyncio.sleep(0)
    assert answers == []


async def test_damage_at_the_start_is_raised(path: str) -> None:
    with opened(path) as one:
        for number in range(1, 200):
            for record in spawned(number):
                one.store.append(record)
        await one.committed()
    scratch(path, "calls")
    one = Opened(path)
    with pytest.raises(StoreBroken, match="is damaged"):
        one.store.restore()
    one.store.close()
    await asyncio.sleep(0)
    assert not one.broken.done()


async def test_a_row_that_cannot_be_read_is_damage(path: str) -> None:
    restored(path)
    other = apsw.Connection(path)
    other.execute("INSERT INTO apps (app_id, version, created_at, record) VALUES ('ap-1', 1, 1.0, x'00')")
    other.close()
    with pytest.raises(StoreBroken, match=f"{path} is damaged: a row in it cannot be read"):
        Opened(path).store.restore()


def scratch(path: str, table: str) -> None:
    """Overwrite the pages of a table, as a broken disk might."""
    with contextlib.closing(apsw.Connection(path)) as database:
        pages = [page for (page,) in database.execute("SELECT pageno FROM dbstat WHERE name = ?", [table])]
        size = database.pragma("page_size")
    with open(path, "r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)


# ---------------------------------------------------------------- versions


def test_a_database_of_every_version_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
    new = Database(str(tmp_path / "new.db"))
    expected = new._db.execute(query).fetchall()
    known = list(migrations())
    for version, _ in known:
        path = str(tmp_path / f"{version}.db")
        old = apsw.Connection(path)
        for number, sql in known[:version]:
            old.execute(sql)
            old.pragma("user_version", number)
        old.pragma("application_id", 0x7377656C)
        old.close()
        database = Database(path)
        assert database._db.execute(query).fetchall() == expected
        assert database.value("PRAGMA user_version") == len(known)
        database.close()
    new.close()


async def test_rows_of_older_and_newer_versions_can_be_read(path: str) -> None:
    restored(path)
    row = {"app_id": "ap-1", "name": "a", "kind": 3, "created_at": 5.0, "invented_later": [1, 2]}
    other = apsw.Connection(path)
    other.execute(
        "INSERT INTO apps (app_id, version, created_at, record) VALUES ('ap-1', 0, 5.0, ?)", [msgpack.encode(row)]
    )
    other.close()
    assert restored(path).apps == (AppRecord(app_id="ap-1", name="a", kind=AppKind.DEPLOYED, created_at=5.0),)


async def test_a_variant_that_an_older_version_has_recorded_is_one_that_programs_may_know(path: str) -> None:
    restored(path)
    kept = FunctionRecord(
        function_id="fu-1", app_id="ap-1", version=1, spec=FunctionSpec("f", Source("m", "f")), changes=b"\x80"
    )
    row = {name: value for name, value in structs.asdict(kept).items() if name != "is_public"}
    other = apsw.Connection(path)
    other.execute(
        "INSERT INTO functions (function_id, app_id, version, record) VALUES ('fu-1', 'ap-1', 1, ?)",
        [msgpack.encode(row)],
    )
    other.close()
    assert restored(path).functions == (kept,)
    assert not kept.is_public


# ---------------------------------------------------------------- commits on the event loop, and in the thread


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where what is new is made durable, in order: what is in the journal already is not new."""
    found, hand_over, append = list[str](), Writer._hand_over, Journal.append

    def handed_over(self: Writer, job: Job) -> None:
        if job.records:
            found.append("thread")
        hand_over(self, job)

    def appended(self: Journal, frame: bytes) -> None:
        found.append("event loop")
        append(self, frame)

    monkeypatch.setattr(Writer, "_hand_over", handed_over)
    monkeypatch.setattr(Journal, "append", appended)
    return found


async def test_answers_keep_their_order_wherever_commits_are_made(path: str, places: list[str]) -> None:
    chance, answers, asked = random.Random(3), list[int](), 0
    with opened(path, synchronous="normal", inline=True) as one:
        for number in range(1, 400):
            for record in spawned(number, chance.choice([10, 100, WEIGHT_MAX])):
                one.store.append(record)
            for _ in range(chance.randrange(3)):
                one.store.commit(partial(answers.append, asked))
                asked += 1
            if chance.random() < 0.2:
                here = asked

                def read(found: Any, here: int = here, number: int = number) -> None:
                    assert found.sequence == number
                    answers.append(here)

                one.store.read_call(f"fc-{number}", read)
                asked += 1
            for _ in range(chance.choice([0, 0, 1, 5])):
                await asyncio.sleep(0)
            if chance.random() < 0.1:
                await one.ask("commit")
        await one.ask("commit")
        assert answers == list(range(asked))
    assert set(places) == {"thread", "event loop"}
    found = restored(path)
    assert (found.sequence, found.waiting) == (399, {"fu-1": Waiting(399, 399)})


async def test_commits_that_come_together_are_one_on_the_event_loop_too(path: str, places: list[str]) -> None:
    with opened(path, inline=True) as one:
        await one.committed(*spawned(1))
        places.clear()
        answers = list[int]()
        for number in range(2, 30):
            for record in spawned(number):
                one.store.append(record)
            one.store.commit(partial(answers.append, number))
        assert answers == []
        await until(lambda: len(answers) == 28, "commits are not answered")
        assert (answers, places) == (list(range(2, 30)), ["event loop"])


async def test_a_commit_that_stalls_on_the_event_loop_is_the_last_one_there_for_a_while(
    path: str, places: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    for module in (writer, stopwatch):
        monkeypatch.setattr(module, "perf_counter", lambda: now[0])
    with opened(path, synchronous="normal", soon_here=asyncio.get_running_loop().call_soon) as one:

        async def committed(*records: Record) -> None:
            for record in records:
                one.store.append(record)
            done = asyncio.Event()
            one.store.commit(done.set, alone=True)
            await asyncio.wait_for(done.wait(), patience())

        for number in range(1, 20):
            await committed(*spawned(number))
        assert places[-1] == "event loop"  # the disk is known to be quick
        append = Journal.append

        def stall(self: Journal, frame: bytes) -> None:
            now[0] += 0.1
            append(self, frame)

        with monkeypatch.context() as stalled:
            stalled.setattr(Journal, "append", stall)
            await committed(*spawned(20))
        places.clear()
        await committed(*spawned(21))
        assert places == ["thread"]
        now[0] += 10.0
        for number in range(22, 40):
            await committed(*spawned(number))
        assert places[-1] == "event loop"
        assert (await one.ask("read_call", "fc-39")).sequence == 39


async def test_an_event_loop_that_was_busy_for_long_does_maintenance_after_what_is_kept(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread has asked for work several times before the event loop hears of it."""
    monkeypatch.setattr(writer, "IDLE_S", 0.001)
    maintained = list[bool]()
    maintain = Writer._maintain

    def noted(self: Writer, database: Database) -> None:
        maintained.append(database.is_writing)
        maintain(self, database)

    monkeypatch.setattr(Writer, "_maintain", noted)
    with opened(path, inline=True) as one:
        for number in range(1, 20):
            await one.committed(*spawned(number))
            for _ in range(3):
                one.store._writer._offer_work()
        await until(lambda: len(maintained) > 1, "there is no maintenance")
        assert (await one.ask("read_call", "fc-19")).sequence == 19
    assert not any(maintained)


async def test_what_waits_for_the_event_loop_is_written_before_a_store_closes(path: str) -> None:
    one = Opened(path, inline=True)
    one.store.restore()
    await one.committed(*spawned(1))
    for record in spawned(2):
        one.store.append(record)
    answers = list[str]()
    one.store.commit(lambda: answers.append("committed"))
    one.store.close()
    await until(lambda: answers == ["committed"], "the commit is not answered")
    assert restored(path).sequence == 2


# ---------------------------------------------------------------- the cost of things


def plans(database: Database) -> Iterator[tuple[str, list[str]]]:
    """How SQLite carries out every statement: by name, those of the triggers one by one."""
    found = statements()
    for trigger, insert in (("create_batches", "write_batch"), ("create_spawns", "write_spawn")):
        body = found.pop(trigger)
        inner = body[body.index("BEGIN") + len("BEGIN") : body.rindex("END;")]
        del found[insert]
        for number, sql in enumerate(part for part in re.split(r";\s*\n", inner) if part.strip()):
            found[f"{trigger} {number}"] = re.sub(r"NEW\.(\w+)", r":\1", sql).replace("raise(ABORT, 'overlap')", "1")
    for name, sql in found.items():
        values = dict.fromkeys(re.findall(r":(\w+)", sql))
        yield name, [row[3] for row in database._db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def test_no_statement_looks_at_rows_that_it_does_not_need(path: str) -> None:
    #: Statements that want all rows of a table, or tables that are small.
    whole = {
        "live_apps": {"apps"},
        "apps": {"apps"},
        "functions": {"functions"},
        "needed_deployments": {"deployments"},
        "forgettable_apps": {"apps"},
        "containers": {"containers"},
        "waiting": {"calls"},  # by the index of those that go on
        "cancel_calls_of_no_function": {"calls"},  # the same
        "leftovers": {"leftovers"},
        "note_forgotten": {"forgotten"},
        "last_sequence": {"forgotten"},
        "journal": {"journal"},
        "note_frame": {"journal"},
    }
    sorting = {"apps", "attempts"}  # few rows each
    database = Database(path)
    for name, plan in plans(database):
        scanned = {step.split()[1] for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE" not in step}
        assert scanned - {"CONSTANT", "begin"} <= whole.get(name, set()), (name, plan)
        assert name in sorting or not any("TEMP B-TREE" in step for step in plan), (name, plan)
    by_index = dict(plans(database))
    for name in ("waiting", "cancel_calls_of_no_function"):
        assert by_index[name][0] == "SCAN calls USING INDEX calls_going_on"
    database.close()


def size(path: str) -> int:
    """Bytes of a file, or -1 if there is none."""
    return os.path.getsize(path) if os.path.exists(path) else -1


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = asyncio.get_running_loop().time() + patience()
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.02)


@inline_or_not
async def test_the_log_does_not_grow_without_end(path: str, monkeypatch: pytest.MonkeyPatch, inline: bool) -> None:
    monkeypatch.setattr(writer, "LOG_PAGES_MAX", 100)
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 100_000)
    with opened(path, synchronous="normal", inline=inline) as one:
        for number in range(1, 300):
            await one.committed(*spawned(number, 3_000))
        assert size(path + "-wal") < 200 * 4_200
        assert size(path) > 500_000


@inline_or_not
async def test_time_without_work_is_used_to_tidy_up(path: str, monkeypatch: pytest.MonkeyPatch, inline: bool) -> None:
    monkeypatch.setattr(writer, "IDLE_S", 0.01)
    monkeypatch.setattr(writer, "FREE_PAGES_MAX", 20)
    with opened(path, synchronous="normal", inline=inline) as one:
        for number in range(1, 300):
            for record in spawned(number, 10_000):
                one.store.append(record)
        await one.committed()
        await until(lambda: size(path) > 3_000_000, "what is in the log is not moved to the file")
        for number in range(1, 300):
            for record in ended(number):
                one.store.append(record)
        await one.committed()
        await until(lambda: size(path) < 1_000_000, "room that is not needed any more is not given back")
        assert (await one.ask("read_outputs", "fc-299", 0, 1))[0].payload == b"out"


async def test_old_results_go_a_few_at_a_time(path: str) -> None:
    with opened(path, synchronous="normal") as one:
        for number in range(1, 3_001):
            for record in [*spawned(number), *ended(number)]:
                one.store.append(record)
        await one.committed()
        order, last = list[str](), asyncio.Event()

        def expired(_: list[str]) -> None:
            order.append("expired")
            last.set()

        one.store.expire(61.0, 61.0, 1_000, expired)
        one.store.commit(lambda: order.append("committed"))
        await asyncio.wait_for(last.wait(), 30)
        assert order == ["committed", "expired"]
        assert await one.ask("read_call", "fc-3000") is None
        assert one.store.restore().sequence == 3_000


async def test_many_results_of_one_old_call_go_a_few_at_a_time(path: str) -> None:
    with opened(path, synchronous="normal") as one:
        one.store.append(
            CallRecord(
                call_id="fc-1",
                sequence=1,
                function_id="fu-1",
                function_name="f",
                method="",
                parent="",
                opened_at=50.0,
                accepted=20_000,
                sealed=True,
            )
        )
        for index in range(0, 20_000, 2):  # no neighbours, so that they are as many rows
            name = b"fc-1.%d.out" % index
            one.store.append(OutputsRecord("fc-1", index, 1, [len(name)], name, blobs=[0] if index % 4 else []))
        one.store.append(CallEnded("fc-1", 20_000, 60.0))
        names = await one.ask("expire", 61.0, 0.0, 1_000)
        assert sorted(names) == sorted(f"fc-1.{index}.out" for index in range(2, 20_000, 4))
        assert (await one.ask("read_call", "fc-1")).expired
        assert await one.ask("read_outputs", "fc-1", 0, 20_000) == []


# ---------------------------------------------------------------- beginning and end


async def test_what_is_recorded_before_the_file_is_open_waits(path: str) -> None:
    one = Opened(path)
    answered = asyncio.Event()
    for record in spawned(1):
        one.store.append(record)
    one.store.commit(answered.set)
    assert size(path) == -1
    assert one.store.restore().sequence == 1
    await asyncio.wait_for(answered.wait(), 30)
    one.store.close()


async def test_a_store_that_was_never_opened_can_be_closed(path: str) -> None:
    one = Opened(path)
    one.store.close()
    one.store.close()
    assert size(path) == -1


async def test_the_end_writes_what_was_recorded(path: str) -> None:
    one = Opened(path)
    one.store.restore()
    for record in spawned(1):
        one.store.append(record)
    one.store.close()
    assert size(path + "-wal") == -1
    assert restored(path).sequence == 1


def test_an_event_loop_that_is_gone_keeps_nobody_from_closing(path: str) -> None:
    async def begin() -> SqliteStore:
        one = Opened(path)
        one.store.restore()
        for record in spawned(1):
            one.store.append(record)
        return one.store

    store = asyncio.run(begin())
    store.commit(lambda: None)
    store.close()
    assert asyncio.run(begin_again(path)) == 1


async def begin_again(path: str) -> int:
    return restored(path).sequence


@inline_or_not
async def test_a_defect_ends_the_store_instead_of_leaving_everyone_to_wait(
    path: str, monkeypatch: pytest.MonkeyPatch, inline: bool
) -> None:
    one = Opened(path, inline=inline)
    one.store.restore()

    def fail(self: BatchWriter, frame: int) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(BatchWriter, "commit", fail)
    one.store.commit(lambda: None)
    error = await asyncio.wait_for(one.broken, 30)
    assert str(error) == f"{path}: a defect in the store (KeyError('a defect')). What was committed is safe"
    assert isinstance(error.__cause__, KeyError)
    one.store.close()
