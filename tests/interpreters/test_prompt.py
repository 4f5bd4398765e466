"""Values of a program that is no file, as at Python's prompt."""

from __future__ import annotations

import subprocess
import sys


def test_classes_of_a_prompt_travel_by_value() -> None:
    program = (
        "from swell.wire import payload\n"
        "class Point:\n    x = 5\n"
        "data = payload.dumps(Point())\n"
        "import sys; sys.modules['__main__'].__dict__.pop('Point')\n"
        "print(payload.loads(data).x)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "5\n"
