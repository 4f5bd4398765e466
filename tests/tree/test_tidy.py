"""Style that no linter checks: what is always a mistake in this tree fails here, with the place and the reason."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SRC = ROOT / "src" / "swell"

#: Names for a place without a purpose. Whatever is put there has a better home.
HOMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "shared", "stuff", "lib"}

#: The shells that may catch any Exception, and why. A file that no longer needs its entry must lose it.
CATCH_ALL: dict[str, str] = {
    "backends/ray/broker.py": "the last frame of a process whose errors nobody reads: it tells the server why it ends",
    "cli/main.py": "the end of a program: everything becomes a message and an exit status",
    "cli/reload/serve_worker.py": "whatever importing the user's code raises is why there is no new worker",
    "edge/gateway/downstream.py": "a defect costs one request: its client is told so, and the others go on",
    "link/transport.py": "a protocol that fails costs its connection, as over a socket: the others of the node go on",
    "runner/batch.py": "reading an argument and pickling a result run the user's code",
    "runner/channel.py": "the last frame of a thread without which the container would live on deaf: it dies instead",
    "runner/child.py": "the last frame of a forked process: nothing above it could report",
    "runner/shutdown.py": "an exit hook that fails must not keep the others from running",
    "runner/main.py": "whatever importing the user's code raises is why the start failed",
    "runner/slot.py": "whatever an input raises is its outcome",
    "runner/loop.py": "whatever an input raises is its outcome",
    "runner/web/pool.py": "whatever a function raises is raised again where its result is awaited",
    "server/control_plane.py": "a defect in the engine: the server ends, so that its callers do not wait for ever",
    "server/defects.py": "a defect in the answer to a question is the answer",
    "store/memory/store.py": "a read that fails is told to the one who asked",
    "store/sqlite/job.py": "a read that fails is told to the one who asked",
    "store/sqlite/writer.py": "a defect where the database is written: the server is told, so that none waits for ever",
    "runner/result_codec.py": "what user code has put in the place of stderr must not cost the container",
    "wire/exception_pickle.py": "the text of an exception, its pickling and its rebuilding run the user's code",
    "wire/payload.py": "pickling, and the text of an exception, run the user's code",
    "wire/remote_traceback.py": "the loader that a user's module names is asked for its source",
}

#: What makes files, directories or sockets past `private_files`, and why that is safe.
MAKES_FILES: dict[str, str] = {
    "backends/process/snapshot.py": "a pair of sockets, which has no name",
    "backends/process/template.py": "a pair of sockets, which has no name",
    "cgroups.py": "a control group, with a mode of its own; the kernel makes the files in it",
    "cli/run.py": "the file that --write-result names is the user's, who decides who may read it",
    "cli/serve.py": "tempfile makes a directory that nobody else may enter",
    "cli/server.py": "connects to the supervisor's socket and sends it one word",
    "link/certificate.py": "tempfile makes a file that nobody else may read",
    "linux.py": "a file in memory, which has no name",
    "listening.py": "accepts at a socket that it was given",
    "private_files.py": "the place for it",
    "runner/web/isolation/ports.py": "an abstract socket, which has no file",
    "server/main.py": "writes to a descriptor that it was given",
    "server/paths.py": "a link between two private directories",
    "store/sqlite/database.py": "must not open a database that is there; makes a new one with 0600",
    "wire/blob_file.py": "many a second, in a private directory; follows no link",
    "wire/bundle.py": "lays files out, with modes of their own, in a new directory below a private one",
}

#: The modules that may rebind a global, and why.
REBIND: dict[str, str] = {}

#: Mutable state at module level, and why it is not in an object.
MODULE_STATE = {
    "wire/remote_traceback.py _remembered": "what was put into linecache, which is a global of the standard library",
}

#: Unit tests of what is not in the package, and where that is.
TESTS_OF_OTHERS = {
    "test_patience.py": "tests/patience.py",
    "wire/test_layout.py": "all messages of swell/wire",
}

#: Arguments that a call may tell apart by place alone.
POSITIONAL_MAX = 5

#: A docstring says what its module must not know.
IGNORANCE = re.compile(r"\b(must|may) (not|never|know)\b|Nothing here\b|knows nothing")


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package, by path relative to it."""
    return {str(path.relative_to(SRC)): ast.parse(path.read_text()) for path in sorted(SRC.rglob("*.py"))}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for name, tree in modules().items():
        for node in ast.walk(tree):
            yield name, node


def tracked_texts() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and path.suffix not in {".csv", ".gz", ".json", ".png"}:
            yield name, path.read_text()


def test_modules_say_what_they_are_and_must_not_know() -> None:
    silent = []
    for name, tree in modules().items():
        says = ast.get_docstring(tree) or ""
        only_docstring = len(tree.body) <= 1
        if not says or not (only_docstring or IGNORANCE.search(" ".join(says.split()))):
            silent.append(name)
    assert not silent, "no docstring, or it does not say what the module must not know"


def test_no_star_imports() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, node in nodes()
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]
    assert not found


def test_nobody_inside_imports_from_the_package_root() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, node in nodes()
        if (isinstance(node, ast.ImportFrom) and node.module == "swell")
        or (isinstance(node, ast.Import) and any(alias.name == "swell" for alias in node.names))
    ]
    assert not found, "import the module that defines the name; the root only re-exports for users"


def test_only_listed_shells_catch_everything() -> None:
    catching = {
        name
        for name, node in nodes()
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _reraises(node)
    }
    assert catching - CATCH_ALL.keys() == set(), "name the errors that are expected, or list the shell and its reason"
    assert CATCH_ALL.keys() - catching == set(), "these need their entry no longer"


def test_the_command_line_prints_in_one_place() -> None:
    """Everything printed is escaped there: a name or a log line that is printed past it could command the terminal."""
    found = [
        f"{name}:{node.lineno}"
        for name, node in nodes()
        if name.startswith("cli/") and name != "cli/show/terminal.py" and _prints(node)
    ]
    assert not found, "print by swell.cli.show.terminal"


def test_files_directories_and_sockets_are_made_in_one_place() -> None:
    """A mode that is left to the umask, or a link that is followed, lets another user in."""
    making = {name for name, node in nodes() if not name.startswith("sim/") and _makes_file(node)}
    assert making - MAKES_FILES.keys() == set(), "use swell.private_files, or say here why this is safe"
    assert MAKES_FILES.keys() - making == set(), "these need their entry no longer"


def test_only_listed_modules_rebind_globals() -> None:
    rebinding = {name for name, node in nodes() if isinstance(node, ast.Global)}
    assert rebinding - REBIND.keys() == set(), "state lives in an object that somebody owns"
    assert REBIND.keys() - rebinding == set(), "these need their entry no longer"


def test_no_call_has_more_than_five_positional_arguments() -> None:
    """Of more, nobody sees which is which: arguments have names then. A starred one counts as one."""
    found = [
        f"{name}:{node.lineno} {ast.unparse(node.func)}"
        for name, node in nodes()
        if isinstance(node, ast.Call) and len(node.args) > POSITIONAL_MAX
    ]
    assert not found, "give the arguments their names"


def test_no_function_takes_more_than_five_positional_arguments() -> None:
    found = [
        f"{name}:{node.lineno} {node.name}"
        for name, node in nodes()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and len([each for each in (*node.args.posonlyargs, *node.args.args) if each.arg not in {"self", "cls"}])
        > POSITIONAL_MAX
    ]
    assert not found, "put a * before those that need a name"


def test_module_level_mutables_are_constants() -> None:
    found = []
    for name, tree in modules().items():
        for node in tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if not isinstance(target, ast.Name) or not _is_mutable(value):
                continue
            if not target.id.strip("_").isupper() and target.id != "__all__":
                found.append(f"{name} {target.id}")
    assert set(found) == MODULE_STATE.keys(), (
        "a module-level list, dict or set is a constant in capitals, or lives in an object"
    )


def test_no_module_without_a_purpose() -> None:
    homeless = [name for name in modules() if HOMELESS & set(Path(name).with_suffix("").parts)]
    numbered = [name for name in modules() if re.search(r"(_?part)?_?\d$", Path(name).stem)]
    assert not homeless + numbered


def test_unit_tests_mirror_the_modules_that_they_test() -> None:
    """`engine/rules/test_paging.py` tests `engine/rules/paging.py`; so does `test_paging_windows.py`, one aspect of it.

    A file may also be named after the package that its folder mirrors.
    """
    unit = ROOT / "tests" / "unit"
    strangers = set[str]()
    for path in unit.rglob("test_*.py"):
        folder = path.parent.relative_to(unit)
        nouns = {each.stem for each in (SRC / folder).glob("*.py")} | {(SRC / folder).name}
        name = path.stem.removeprefix("test_")
        if not any(name == noun or name.startswith(f"{noun}_") for noun in nouns):
            strangers.add(str(path.relative_to(unit)))
    assert strangers - TESTS_OF_OTHERS.keys() == set(), "name the file after the module that it tests, or list it"
    assert TESTS_OF_OTHERS.keys() - strangers == set(), "these need their entry no longer"


def test_a_test_that_sleeps_says_why() -> None:
    """Tests wait for conditions, as `patience.wait_until` does. A pause in a loop is part of such a wait."""
    silent = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        tree, lines = ast.parse(text), text.splitlines()
        waits = {id(each) for loop in ast.walk(tree) if isinstance(loop, ast.While) for each in ast.walk(loop)}
        silent += [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and id(node) not in waits
            and _pauses(node)
            and "#" not in lines[node.lineno - 1]
        ]
    assert not silent, "wait for what is to happen, or say why a length of time is right here"


def test_no_notes_to_self() -> None:
    note = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
    found = [
        f"{name}:{number}"
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if name != "LICENSE" and note.search(line)
    ]
    assert not found


def test_no_private_places() -> None:
    """A path on somebody's machine, or a ticket that only they can see, tells a reader nothing."""
    private = re.compile(r"/(?:home|Users|root|work)/\w|\bissue [#\d]")
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if private.search(line)
    ]
    assert not found


def test_scripts_can_be_run() -> None:
    not_executable = [path.name for path in (ROOT / "scripts").iterdir() if not path.stat().st_mode & 0o100]
    assert not not_executable


def test_examples_stay_small() -> None:
    long = {path.name: n for path in (ROOT / "examples").glob("*.py") if (n := len(path.read_text().splitlines())) > 40}
    assert not long, "an example is read in a minute: 40 lines at most"


PRINTING = {"click.echo", "click.secho", "click.style", "click.confirm", "click.prompt", "click.echo_via_pager"}

STREAMS = re.compile(r"sys\.(__)?std(out|err)(__)?(\.buffer)?\.\w*(write|flush)\w*")


def _prints(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="print" | "input" | "Console")):
            return True
        case ast.Call(func=ast.Attribute() as called):
            text = ast.unparse(called)
            return (
                text in PRINTING
                or re.fullmatch(r"sys\.(__)?std(out|err)(__)?(\.buffer)?\.\w*(write|flush)\w*", text) is not None
            )
        case ast.ImportFrom(module="rich.console" | "rich" | "rich.pretty" | "rich.traceback"):
            return True
        case ast.ImportFrom(module="click", names=names):
            return any(f"click.{alias.name}" in PRINTING for alias in names)
        case _:
            return False


def _pauses(node: ast.Call) -> bool:
    return ast.unparse(node.func) in {"time.sleep", "asyncio.sleep"} and ast.unparse(node.args[0]) != "0"


MAKERS = {
    *("mkdir", "makedirs", "mkfifo", "symlink", "symlink_to", "hardlink_to", "write_text", "write_bytes"),
    *("mkdtemp", "mkstemp", "TemporaryDirectory", "TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile"),
}


def _makes_file(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr="AF_UNIX"):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="open")):
            return "O_CREAT" in ast.unparse(node)
        case ast.Call(func=ast.Attribute(attr=name)) if name in MAKERS:
            return True
        case ast.Call(func=ast.Name(id="open") | ast.Attribute(attr="open"), args=[first, *rest]):
            modes = [str(each.value) for each in (first, *rest) if isinstance(each, ast.Constant)]
            is_private = isinstance(first, ast.Call) and ast.unparse(first.func) == "open_file"
            return not is_private and any(re.fullmatch("[rbt]*[wax+][rwaxbt+]*", mode) for mode in modes)
        case _:
            return False


def _is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}) for kind in kinds
    )


def _reraises(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise)


def _is_mutable(value: ast.AST | None) -> bool:
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    if not isinstance(value, ast.Call):
        return False
    made = value.func.value if isinstance(value.func, ast.Subscript) else value.func
    return isinstance(made, ast.Name) and made.id in {"list", "dict", "set", "defaultdict", "deque", "Counter"}
