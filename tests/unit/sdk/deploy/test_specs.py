"""A spec is complete and checked before anything is sent."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from swell.errors import InvalidError
from swell.sdk.app import App
from swell.sdk.declare.image import Image
from swell.sdk.declare.secret import Secret
from swell.sdk.deploy.specs import specs_of


def f() -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image": Image.debian_slim().workdir("/\udcff")}, r"f: '/\\udcff' is not UTF-8, and cannot be sent"),
        ({"image": Image.debian_slim().env({"KEY": "\udcff"})}, "f: the environment variable 'KEY' is not UTF-8"),
        ({"secrets": [Secret.from_dict({"KEY": "hush\udcff"})]}, "f: the environment variable 'KEY' is not UTF-8"),
    ],
)
def test_what_is_no_text_is_told_by_name_and_no_secret_is_shown(options: dict[str, object], said: str) -> None:
    app = App()
    app.function(**options)(f)  # type: ignore[arg-type]
    with pytest.raises(InvalidError, match=said) as told:
        specs_of(app.describe())
    assert "hush" not in str(told.value)


def test_a_function_in_an_archive_that_is_run_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "prog.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("__main__.py", "def g(): pass")
    main = ModuleType("__main__")
    main.__file__ = str(archive / "__main__.py")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec("def g(): pass", vars(main))
    app = App()
    app.function()(vars(main)["g"])
    with pytest.raises(InvalidError, match=r"g is defined in __main__\.py of the archive .*prog\.pyz.*unpack"):
        specs_of(app.describe())
