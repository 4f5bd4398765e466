"""SQL in files: every statement has a name, and every migration its turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from swell.store.sqlite import statements as module
from swell.store.sqlite.statements import migrations, statements


def test_every_statement_is_found_by_its_name() -> None:
    found = statements()
    assert found["deployment"] == "SELECT record FROM deployments WHERE app_id = :app_id AND version = :version;"
    assert all(sql.endswith(";") for sql in found.values())


def test_every_statement_is_used() -> None:
    code = "".join(path.read_text() for path in Path(module.__file__).parent.glob("*.py"))
    assert [name for name in statements() if f'"{name}"' not in code] == []


def test_migrations_are_numbered_from_one_on() -> None:
    found = list(migrations())
    assert [version for version, _ in found] == list(range(1, len(found) + 1))


def test_a_name_is_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "a.sql").write_text("-- name: one\nSELECT 1;\n")
    (tmp_path / "sql" / "b.sql").write_text("-- name: one\nSELECT 2;\n")
    monkeypatch.setattr(module, "_HERE", tmp_path)
    with pytest.raises(ValueError, match="two statements 'one'"):
        statements()


def test_no_migration_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0002_more.sql").write_text("SELECT 1;")
    monkeypatch.setattr(module, "_HERE", tmp_path)
    with pytest.raises(ValueError, match=r"0002_more.sql: the migration before it is missing"):
        list(migrations())
