"""`swell serve`, as a person uses it who edits files beside it: with a server of its own, and with the daemon."""

from __future__ import annotations

import os
import re
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
from place import PATIENCE_S, Place

SHOP = """
import time
import swell
from words import TEXT

app = swell.App("shop")
print("imported", TEXT)

@app.function(max_containers=1)
@swell.concurrent(max_inputs=20)
@swell.asgi_app()
def front():
    async def answer(scope, receive, send):
        print("asked", TEXT)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": TEXT.encode()})
    return answer

@app.function()
@swell.wsgi_app()
def slow():
    def answer(environ, start_response):
        print("slowly", TEXT)
        time.sleep(1.5)
        start_response("200 OK", [])
        return [TEXT.encode()]
    return answer
"""


TICKING = """
import swell

app = swell.App()

@app.function(schedule=swell.Period(seconds=1))
def tick():
    print("%s")
"""


class Served:
    """A `swell serve` that runs, with what it has written so far."""

    def __init__(self, place: Place, *arguments: str, through: Sequence[str] = ()) -> None:
        self._place = place
        self.process = place.begin("serve", *arguments, through=through)
        self._written = {"out": "", "err": ""}
        streams = (("out", self.process.stdout), ("err", self.process.stderr))
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in streams]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, stream: Iterator[str]) -> None:
        for line in stream:
            self._written[name] += line

    @property
    def told(self) -> str:
        return self._written["err"]

    @property
    def shown(self) -> str:
        return self._written["out"]

    def sees(self, pattern: str, times: int = 1) -> str:
        """Wait until stderr has a pattern so often; return its latest match."""

        def found() -> list[str]:
            assert self.process.poll() is None or re.search(pattern, self.told), self.told
            matches = [match[0] for match in re.finditer(pattern, self.told)]
            return matches if len(matches) >= times else []

        return self._place.eventually(found)[-1]

    def url(self, name: str) -> str:
        return self.sees(rf"Created web function {name} => \S+").rpartition(" ")[2]

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code


@contextmanager
def serving(place: Place, *arguments: str) -> Iterator[Served]:
    (place.folder / "shop.py").write_text(SHOP)
    say(place, "one")
    served = Served(place, *arguments)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.end()


def say(place: Place, text: str) -> None:
    """Save words.py the way editors do: as a new file in the place of the old one."""
    new = place.folder / ".words.py.new"
    new.write_text(f"TEXT = {text!r}\n")
    new.replace(place.folder / "words.py")


def fetch(url: str) -> str:
    with urllib.request.urlopen(f"{url}/", timeout=PATIENCE_S) as answer:
        return answer.read().decode()


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes that work in a directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd") == str(folder):
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_saves_are_served_mistakes_are_shown_and_ctrl_c_leaves_nothing(place: Place) -> None:
    place.environment["SWELL_WEB"] = "1"
    temporary = place.folder.with_name("tmp")  # not the one that other programs use, too
    temporary.mkdir()
    place.environment["TMPDIR"] = str(temporary)
    with serving(place, "shop.py") as served:
        url = served.url("front")
        assert url.endswith("/shop-front-dev/")
        assert fetch(url) == "one"

        (place.folder / "shop.py").write_text(SHOP.replace("TEXT.encode()", "(TEXT + '!').encode()"))
        served.sees(r"reloaded in .* s: shop.py changed")
        assert fetch(url) == "one!"

        (place.folder / "words.py").write_text("TEXT = 'broken\n")
        served.sees("not reloaded: what ran before goes on")
        assert re.search(r'File ".*/words.py", line 1\n.*\n.*\nSyntaxError: unterminated string', served.told)
        assert "serving.py" not in served.told
        assert fetch(url) == "one!"

        (place.folder / "words.py").write_text("from absent import TEXT\n")
        served.sees("ModuleNotFoundError: No module named 'absent'")
        (place.folder / "absent.py").write_text("TEXT = 'found'\n")
        served.sees(r"reloaded in .* s: absent.py changed")
        assert fetch(url) == "found!"
        place.eventually(lambda: "front ta-" in served.shown and "| asked found" in served.shown)
        assert "imported found\n" in served.shown
        assert len(re.findall("Created web function front", served.told)) == 1, "the URL is told once"

        assert served.end() == 130
        assert served.told.endswith("swell: App aborted\n")
    place.eventually(lambda: not processes_of(place.folder))
    assert list(temporary.iterdir()) == []


def test_no_request_fails_or_is_cut_off_while_files_are_saved(place: Place) -> None:
    # Requests that go on when their worker is replaced have so long to end: here, as long as it takes.
    place.environment |= {"SWELL_WEB": "1", "SWELL_WEB_RATE": "1000000", "SWELL_EXIT_GRACE_S": "300"}
    with serving(place, "shop.py") as served:
        url, slow = served.url("front"), served.url("slow")
        answers: list[str] = []
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                try:
                    answers.append(fetch(url))
                except (urllib.error.URLError, OSError) as error:
                    answers.append(f"failed: {error!r}")

        def ask_slowly() -> None:
            answers.append(f"slow: {fetch(slow)}")

        place.eventually(lambda: fetch(url) == "one")
        asking = [threading.Thread(target=ask) for _ in range(2)]
        slowly = threading.Thread(target=ask_slowly)
        for thread in (*asking, slowly):
            thread.start()
        place.eventually(lambda: answers)
        place.eventually(lambda: "| slowly one" in served.shown)
        for number, text in enumerate(("two", "three", "four"), start=1):
            say(place, text)
            served.sees(r"reloaded in .* s: words.py changed", number)
            place.eventually(lambda text=text: answers[-1] == text or answers[-2] == text)
        slowly.join(PATIENCE_S)
        over.set()
        for thread in asking:
            thread.join(PATIENCE_S)
        assert set(answers) - {"one", "two", "three", "four"} == {"slow: one"}


def test_a_request_that_an_edge_which_is_behind_sends_to_a_worker_that_has_ended_is_answered(place: Place) -> None:
    place.environment["SWELL_WEB"] = "1"
    with serving(place, "shop.py") as served, ThreadPoolExecutor(1) as asking:
        url = served.url("front")
        assert fetch(url) == "one"
        edge, workers = below(served, "swell.edge.main"), below(served, "swell.cli.reload.serve_worker")
        edge[0].suspend()
        try:
            answer = asking.submit(fetch, url)
            say(place, "two")
            served.sees(r"reloaded in .* s: words.py changed")
            place.eventually(lambda: not workers[0].is_running())
        finally:
            edge[0].resume()
        assert answer.result() == "two"


def below(served: Served, module: str) -> list[psutil.Process]:
    """Return the processes that a command has started, and that run a module."""
    found = psutil.Process(served.process.pid).children(recursive=True)
    return [process for process in found if module in process.cmdline()]


def test_on_a_server_that_stays_the_label_is_free_afterwards(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "data", web=True)
    place.environment |= {"SWELL_WEB_PORT": "0", "SWELL_ADMIN_PORT": "0"}
    try:
        place.told("start")
        with serving(place, "shop.py") as served:
            url = served.url("front")
            assert fetch(url) == "one"
            assert [row["state"] for row in place.json("app", "list")] == ["ephemeral"]
        assert served.process.returncode == 130
        try:
            fetch(url)
        except urllib.error.HTTPError as refused:
            assert refused.code == 404
            refused.close()
        else:
            raise AssertionError("the label is still taken")

        place.told("serve", "shop.py", "--timeout", "0.5")  # ends, with exit code 0
        with serving(place, "shop.py") as served:
            served.url("front")
            place.told("stop")
            assert served.ended() == 1
            assert "the server is gone" in served.told
            assert "Traceback" not in served.told
    finally:
        place.end()


def test_an_app_without_web_functions_is_reloaded_too(place: Place) -> None:
    (place.folder / "jobs.py").write_text("import swell\n")
    served = Served(place, "jobs.py")
    try:
        served.sees("it needs an app = swell.App")
        served.sees("nothing runs yet; save a file to try again")
        for number, text in enumerate(("tick", "tock"), start=1):
            (place.folder / "jobs.py").write_text(TICKING % text)
            served.sees(r"reloaded in .* s: jobs.py changed", number)
            place.eventually(lambda text=text: f"| {text}\n" in served.shown)
    finally:
        assert served.end() == 130
    assert "Created" not in served.told


def test_in_the_background_of_a_script_it_goes_on_when_the_script_is_interrupted(place: Place) -> None:
    (place.folder / "jobs.py").write_text(TICKING % "tick")
    served = Served(place, "jobs.py", through=["bash", "-c", 'trap "" INT; exec "$@"', "bash"])
    try:
        place.eventually(lambda: "| tick\n" in served.shown)
        served.process.send_signal(signal.SIGINT)
        (place.folder / "jobs.py").write_text(TICKING % "tock")
        served.sees(r"reloaded in .* s: jobs.py changed")
    finally:
        served.process.terminate()
        assert served.ended() == 130


def test_what_cannot_be_served_is_told_at_once(place: Place) -> None:
    assert "there is no file 'absent.py'" in place.refused("serve", "absent.py")
