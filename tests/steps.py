"""How many steps Python takes for something: the same on every machine, however busy that is.

A step is one instruction of the interpreter. What a built-in function does inside (`list(d.values())`) is one step,
too; a test that must see such work gives it something to call. This module must not know what is counted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["steps_of"]


def steps_of(action: Callable[[], object]) -> int:
    """Call a function and return how many steps it took."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(former)
    return count
