"""What the pages name is there."""

from __future__ import annotations

import re
from pathlib import Path


def test_links_between_pages_lead_somewhere(repository: Path) -> None:
    pages = [*repository.glob("*.md"), *repository.glob("docs/**/*.md")]
    broken = [
        f"{page.relative_to(repository)}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_commands_of_the_readme_exist(repository: Path) -> None:
    readme = (repository / "README.md").read_text()
    named = re.findall(r"^(?:swell run )?((?:scripts|examples)/[\w./]+)", readme, re.MULTILINE)
    assert named
    assert [name for name in named if not (repository / name).exists()] == []


def test_every_example_is_in_the_guide(repository: Path) -> None:
    guide = (repository / "docs/guide.md").read_text()
    missing = [path.name for path in (repository / "examples").glob("*.py") if f"examples/{path.name}" not in guide]
    assert not missing


def test_files_that_contributors_are_sent_to_are_there(repository: Path) -> None:
    page = (repository / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`([a-z_/]+/[a-z_.]+\.(?:py|md|tsx|ts)|[a-z_/]+/)`", page))
    assert len(named) > 30
    roots = (repository, repository / "src/swell")
    missing = {name for name in named if not any((root / name).exists() for root in roots)}
    assert not missing
