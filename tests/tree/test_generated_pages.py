"""The pages of docs/ that are generated say what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_generated_pages_are_up_to_date(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, repository / "scripts/docs", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
