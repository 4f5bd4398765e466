"""State has one owner: only the file of a class in `engine/state` assigns its fields and changes what they hold.

Changes are found by the names of fields, whatever the type of the object: a rule of the engine assigns to nothing but
`self`, so that a name says enough. A dict or list that gets a local name is followed within its function. Looked at are
the engine and all modules that import its state.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parent.parent.parent / "src" / "swell"
STATE = "engine/state/"

BUILT_IN = {"Counter", "defaultdict", "deque", "dict", "list", "set"}
CHANGES = {
    *("add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "insert", "move_to_end", "pop"),
    *("popitem", "popleft", "remove", "reverse", "rotate", "setdefault", "sort", "symmetric_difference_update"),
    *("intersection_update", "subtract", "update"),
}


@cache
def trees() -> dict[str, ast.Module]:
    """The engine's modules, and the others that know its state, by path."""
    trees = {str(path.relative_to(SRC)): ast.parse(path.read_text()) for path in sorted(SRC.rglob("*.py"))}
    return {name: tree for name, tree in trees.items() if name.startswith("engine/") or _imports_state(tree)}


def _imports_state(tree: ast.Module) -> bool:
    froms = (node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return any(module.startswith(("swell.engine.state", "swell.engine.engine")) for module in froms)


@cache
def state_fields() -> set[str]:
    """The fields of all state classes."""
    return {field for tree in _state() for field, _ in _fields(tree)}


@cache
def built_ins() -> set[str]:
    """The fields of state classes that hold a dict, a list or the like, which anybody could change."""
    return {field for tree in _state() for field, node in _fields(tree) if _is_built_in(node)}


def _state() -> list[ast.Module]:
    return [tree for name, tree in trees().items() if name.startswith(STATE)]


def _fields(tree: ast.AST) -> Iterator[tuple[str, ast.Assign | ast.AnnAssign]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for target in _targets(node):
                if isinstance(target, ast.Attribute) and _is_self(target.value):
                    yield target.attr, node


def _is_built_in(node: ast.Assign | ast.AnnAssign) -> bool:
    value = node.value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in BUILT_IN
    annotated = ast.unparse(node.annotation).partition("[")[0] if isinstance(node, ast.AnnAssign) else ""
    return annotated in BUILT_IN or isinstance(value, ast.Dict | ast.List | ast.Set)


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what a statement assigns or deletes, one by one."""
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            found: list[ast.expr] = list(targets)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target) | ast.For(target=target):
            found = [target]
        case ast.withitem(optional_vars=ast.expr() as target) | ast.NamedExpr(target=target):
            found = [target]
        case _:
            return
    while found:
        target = found.pop()
        if isinstance(target, ast.Tuple | ast.List):
            found += target.elts
        else:
            yield target.value if isinstance(target, ast.Starred) else target


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _field_of_another(node: ast.expr) -> str:
    """Return the field in `something.field`, if that something is not the object whose method this is."""
    return node.attr if isinstance(node, ast.Attribute) and not _is_self(node.value) else ""


def _changed(function: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, field) of each change to a field of another object in a function."""
    aliases: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            aliases[node.targets[0].id] = _field_of_another(node.value)
    for node in ast.walk(function):
        for target in _targets(node):
            yield target.lineno, _field_of_another(target)
            if isinstance(target, ast.Subscript):
                yield target.lineno, _built_in_field(target.value, aliases)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            yield node.lineno, _built_in_field(node.func.value, aliases)


def _built_in_field(node: ast.expr, aliases: dict[str, str]) -> str:
    """Return the field that holds what is changed, also if that is an item of it: `state.calls_of[client].pop(…)`."""
    while True:
        match node:
            case ast.Subscript(value=value) | ast.Call(func=ast.Attribute(value=value, attr="get" | "setdefault")):
                node = value
            case ast.Name(id=name):
                field = aliases.get(name, "")
                break
            case _:
                field = _field_of_another(node)
                break
    return field if field in built_ins() else ""


def changes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, field) of each change in a module to a field of a state class of another file."""
    foreign = state_fields() - {field for field, _ in _fields(tree)}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ((line, field) for line, field in _changed(function) if field in foreign)


def test_state_is_changed_by_its_owner_alone() -> None:
    found = [f"{name}:{line} changes .{field}" for name, tree in trees().items() for line, field in changes(tree)]
    assert not found, "give the class that has this field a method that says what happens"


@pytest.mark.parametrize(
    "change",
    [
        "pool.is_retired = True",
        "call.pool.counts.accepted += 1",
        "first, pool.is_retired = 1, True",
        "del self._state.pools[pool.id]",
        "self._state.pools[pool.id] = pool",
        "self._state.pools.pop(pool.id, None)",
        "self._state.calls_of.get(client).clear()",
        "pools = self._state.pools; pools.clear()",
        "for pool.is_retired in (True, False): pass",
    ],
)
def test_a_change_from_elsewhere_would_be_found(change: str) -> None:
    assert list(changes(ast.parse(f"def rule(self, pool, call, client):\n    {change}")))


@pytest.mark.parametrize("change", ["self.pools = {}", "pool.backlog.add(span)", "pools = {}; pools.clear()"])
def test_what_an_object_does_to_itself_is_no_such_change(change: str) -> None:
    assert not list(changes(ast.parse(f"def rule(self, pool, span):\n    {change}")))
