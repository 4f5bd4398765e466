"""Finds the names of the modules to which a source text, or a pickle, refers.

Reads text and runs nothing: an import counts anywhere, in a function, a condition or a `try`. This module must not know
where modules are found.
"""

from __future__ import annotations

import ast
import pickletools
import re
import warnings
from collections.abc import Iterator
from typing import Final

__all__ = ["imported_by", "named_in_pickle"]

_BY_CALL: Final = ("import_module", "__import__")
_CALLED: Final = tuple(name.encode() for name in _BY_CALL)
_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")  #: fields of statements that contain statements
_DOTTED: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def imported_by(text: bytes) -> set[str]:
    """Return the dotted names that a Python text imports: by statements, and by calls with a literal name.

    `from a import b` gives both a and a.b, which may be a module. Relative imports are left out: they cannot leave
    their package, and packages are bundled as a whole. A text that is not Python imports nothing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # such as those of escapes in strings: the user gets them when the code runs
            tree = ast.parse(text)
    except (
        SyntaxError,
        ValueError,
        RecursionError,
        MemoryError,
    ):  # the last two: nested too deep, so that an import fails, too
        return set()
    # Expressions are most of a tree and matter only for imports by a call; skipping them halves the time.
    nodes = ast.walk(tree) if any(called in text for called in _CALLED) else _statements(tree)
    return {name for node in nodes for name in _imported(node)}


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    unseen = [tree]
    while unseen:
        node = unseen.pop()
        yield node
        for block in _BLOCKS:
            unseen += getattr(node, block, ())


def _imported(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=aliases):
            for alias in aliases:
                yield alias.name
        case ast.ImportFrom(module=str(module), names=aliases, level=0):
            yield module
            for alias in aliases:
                yield f"{module}.{alias.name}"
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(), *_] as arguments):
            literals = [argument.value for argument in arguments if isinstance(argument, ast.Constant)]
            if called in _BY_CALL:  # import_module(".b", "a") has the package second
                yield from (name for name in literals if isinstance(name, str) and _DOTTED.fullmatch(name))
        case _:
            pass


def named_in_pickle(data: bytes) -> set[str]:
    """Return the strings of a pickle that may be names of modules.

    The pickle of a function names the modules to which it refers, and those that its body imports, in strings among
    others.
    """
    names: set[str] = set()
    for opcode, argument, _ in pickletools.genops(data):
        if isinstance(argument, str):
            text = argument.partition(" ")[0] if opcode.name == "GLOBAL" else argument  # "module name"
            if _DOTTED.fullmatch(text):
                names.add(text)
    return names
