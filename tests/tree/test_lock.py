"""requirements.lock goes with pyproject.toml: a dependency that is declared and not locked is not what was tested."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\]+)(?: ; ([^\\]+?))? \\$", re.MULTILINE)


def _declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    texts = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for group in ("build", "lint", "test"):
        texts += groups[group]
    return [Requirement(text) for text in texts]


def _locked() -> dict[str, list[Version]]:
    versions: dict[str, list[Version]] = {}
    for name, version, _ in LOCKED.findall((ROOT / "requirements.lock").read_text()):
        versions.setdefault(canonicalize_name(name), []).append(Version(version))
    return versions


def test_every_declared_dependency_is_locked_within_its_bounds() -> None:
    locked = _locked()
    unmet = [
        str(requirement)
        for requirement in _declared()
        if not any(requirement.specifier.contains(v) for v in locked.get(canonicalize_name(requirement.name), []))
    ]
    assert not unmet, f"not in requirements.lock: {unmet}; scripts/lock writes it"


def test_every_locked_package_has_hashes() -> None:
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text())[1:]
    assert len(blocks) == sum(map(len, _locked().values()))
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
