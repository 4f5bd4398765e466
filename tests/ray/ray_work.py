"""What tests of losses have run on a cluster: work that says that it has begun, and goes on when it is let."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
from patience import wait_until
from ray_place import START_S, RayPlace

import swell

__all__ = [
    "Work",
    "agents_of",
    "at_start_of_python",
    "frozen",
    "is_gone",
    "other_swell",
    "state_of",
    "trouble_of",
]

SOURCE = Path(swell.__file__).parent

#: Each input notes the process that runs it. What is not to end at once waits for a file.
PROGRAM = """
import os, time
from pathlib import Path
import swell

app = swell.App("work")
folder = Path({folder!r})

@app.function(retries=0)
def square(x: int, waits: bool = False) -> int:
    with (folder / f"{{os.getpid()}}").open("a") as notes:
        notes.write(f"{{x}}\\n")
    while waits and not (folder / "go").exists():
        time.sleep(0.02)
    return x * x

@app.local_entrypoint()
def main(count: int) -> str:
    return str(sum(square.map(range(count))))
"""


class Work:
    """An app in a place, and what its containers note."""

    def __init__(self, place: RayPlace) -> None:
        self._place = place
        self._folder = place.folder / "notes"
        self._folder.mkdir()
        (place.folder / "work.py").write_text(PROGRAM.format(folder=str(self._folder)))

    def succeeds(self, count: int = 5) -> None:
        """Run a map to its end."""
        self._place.told("run", "-q", "-w", "result", "work.py", "--count", str(count))
        assert (self._place.folder / "result").read_text() == str(sum(x * x for x in range(count)))

    def begin(self) -> str:
        """Spawn a call that waits until it is let go; return its id once a container runs it."""
        self._place.told("deploy", "work.py")
        call = self._place.spawn("square", 7, True, app="work")
        self.pid()
        return call

    def pid(self) -> int:
        """Return the process that runs the call, once there is one."""
        return wait_until(self._pid, lambda: state_of(self._place), seconds=START_S, pause_s=0.1)

    def _pid(self) -> int | None:
        pids = [int(each.name) for each in self._folder.iterdir() if each.name.isdigit()]
        return next((pid for pid in pids if not is_gone(pid)), None)

    def ends(self, call: str) -> None:
        """Let the call go; it has its result, once."""
        (self._folder / "go").touch()
        program = f"print(swell.FunctionCall.from_id({call!r}).get(timeout=600))"
        assert self._place.python(program) == "49"


@contextlib.contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """Have a process stopped for a while."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; who waits for it may not have noticed yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def agents_of(place: RayPlace) -> list[psutil.Process]:
    """Return the agents that have links to the server of a place."""
    ports = {each.laddr.port for each in place.server().net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if "swell.agent.main" in process.cmdline() and any(
                each.raddr and each.raddr.port in ports for each in process.net_connections("tcp")
            ):
                found.append(process)
    return found


def trouble_of(place: RayPlace) -> str:
    """Return what the server says of its nodes."""
    return place.trouble()


def state_of(place: RayPlace) -> object:
    """Return what may explain why something has not come true."""
    return place.names(), place.told("status"), (place.data_dir / "server.log").read_text()


def other_swell(folder: Path, version: str, **constants: int) -> str:
    """Return a directory with this swell as another version, of which constants in its modules are others.

    Args:
        folder: where it is made.
        version: what it is called.
        constants: such as LINK_PROTOCOL, by name.
    """
    tree = folder / f"swell-{version}"
    shutil.copytree(SOURCE, tree / "swell", ignore=shutil.ignore_patterns("__pycache__"))
    installed = tree / f"swell-{version}.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: swell\nVersion: {version}\n")
    for name, value in constants.items():
        (found,) = [each for each in tree.rglob("*.py") if re.search(rf"^{name}: Final = \d+", each.read_text(), re.M)]
        found.write_text(re.sub(rf"^{name}: Final = \d+", f"{name}: Final = {value}", found.read_text(), flags=re.M))
    return str(tree)


def at_start_of_python(folder: Path, program: str) -> str:
    """Return a directory which makes each Python that has it in its path begin with a program."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(program)
    return str(folder)
