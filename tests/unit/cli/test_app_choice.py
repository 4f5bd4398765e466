"""Which App of a module `swell deploy` means."""

from __future__ import annotations

from types import ModuleType

import pytest

from swell.cli.app_choice import choose_app
from swell.cli.reference import Reference
from swell.errors import InvalidError
from swell.sdk.app import App


def module(**names: object) -> ModuleType:
    made = ModuleType("jobs")
    vars(made).update(names)
    return made


def reference(name: str = "") -> Reference:
    return Reference("jobs.py", name, False, "swell deploy")


def test_the_one_that_is_named() -> None:
    left, right = App("l"), App("r")
    assert choose_app(reference("right"), module(left=left, right=right)) is right


def test_without_a_name_the_variable_app() -> None:
    usual, other = App("u"), App("o")
    assert choose_app(reference(), module(other=other, app=usual)) is usual


def test_or_the_only_one_whatever_it_is_called() -> None:
    only = App("only")
    assert choose_app(reference(), module(mine=only, alias=only, app="no App")) is only


def test_several_are_listed_as_they_are_written() -> None:
    with pytest.raises(InvalidError) as told:
        choose_app(reference(), module(left=App("l"), right=App("r")))
    assert str(told.value) == (
        "say which App of jobs.py is meant:\n  swell deploy jobs.py::left  (l)\n  swell deploy jobs.py::right  (r)"
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [("lefd", "has no App 'lefd'; did you mean left?"), ("square", "'square' in jobs.py is no App")],
)
def test_what_is_no_app_of_the_module(name: str, told: str) -> None:
    with pytest.raises(InvalidError) as refused:
        choose_app(reference(name), module(left=App("l"), square=lambda x: x))
    assert told in str(refused.value)
    assert "swell deploy jobs.py::left" in str(refused.value)


def test_a_module_without_any() -> None:
    with pytest.raises(InvalidError, match=r"there is no App in jobs\.py"):
        choose_app(reference("app"), module(app=5))
