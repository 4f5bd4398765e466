"""Imports: the names of the modules that a source text, or a pickle, refers to.

Reads, and runs nothing: an import counts wherever it stands, in a function, a condition or a `try`. This module must
not know where modules are found.
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
_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")  #: fields in which statements have statements
_DOTTED: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def imported_by(text: bytes) -> set[str]:
    """Return the dotted names that a Python text imports: by statements, and by calls with a literal name.

    `from a import b` gives both a and a.b, which may be a module. Imports relative to a package are left out: they
    cannot leave it, and packages travel as a whole. A text that is no Python imports nothing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on escapes in strings, say: the user hears of them when it is run
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested too deep, for imports, too
        return set()
    # Expressions, most of a tree, matter only where something is imported by a call: half the time of a large bundle.
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
    """Return what a pickle says that could be the name of a module.

    Functions that travel by value name the modules they refer to, and those their bodies import, as strings among
    others.
    """
    names: set[str] = set()
    for opcode, argument, _ in pickletools.genops(data):
        if isinstance(argument, str):
            text = argument.partition(" ")[0] if opcode.name == "GLOBAL" else argument  # "module name"
            if _DOTTED.fullmatch(text):
                names.add(text)
    return names
