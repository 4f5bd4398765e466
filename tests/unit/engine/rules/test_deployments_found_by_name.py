"""A diary of what is found by name."""

from __future__ import annotations

from swell.wire import apps as a


def deployed(diary, *names: str, **options) -> None:
    """An app with version 1 of some functions, deployed in the first second."""
    diary.at(1.0).deploys(*names, **options)


def test_names_that_are_not_there_and_what_may_have_been_meant(diary) -> None:
    deployed(diary, "resize", "Model.*")
    lookup = "fail 6: Lookup failed for"
    assert diary.finds("resise") == [
        f"{lookup} Function 'resise': App 'shop' has none of that name; did you mean 'resize'?"
    ]
    assert diary.finds("Model") == [
        f"{lookup} Function 'Model': App 'shop' has none of that name; "
        "it is a class: use Cls.from_name('shop', 'Model')"
    ]
    assert diary.finds("resize.*") == [
        f"{lookup} Cls 'resize': App 'shop' has none of that name; "
        "it is a function: use Function.from_name('shop', 'resize')"
    ]
    assert diary.finds("x", app="shpo") == [
        f"{lookup} Function 'x': no App with name 'shpo' is deployed; did you mean 'shop'?"
    ]
    assert diary.finds("x", app="zzz") == [f"{lookup} Function 'x': no App with name 'zzz' is deployed"]


def test_what_only_runs_is_not_found_by_name(diary) -> None:
    diary.opens(app="shop")
    assert diary.finds() == ["fail 6: Lookup failed for Function 'f': no App with name 'shop' is deployed"]
    assert diary.finds_app() == ["fail 6: No App with name 'shop' is deployed"]


def test_an_app_is_found_by_name_and_by_id(diary) -> None:
    deployed(diary, tags={"team": "a"})
    app_id = diary.engine.snapshot.app("shop").id
    assert diary.finds_app() == diary.finds_app(app_id) == ["found shop at version 1"]
    assert diary.says(a.TagApp(6, app_id, {"team": "b"})) == ["record app shop at version 1", "tell 1: Done"]
    diary.restarts()
    diary.finds_app()
    assert diary.last[-1].message.tags == {"team": "b"}


def test_an_app_can_be_made_before_there_is_a_version_of_it(diary) -> None:
    assert diary.finds_app("new", create_as="ap-new") == ["record app new at version 0", "found new at version 0"]
    assert diary.finds_app("new", create_as="ap-other") == ["found new at version 0"]
    diary.at(1.0)
    diary.restarts()
    assert "version 1 is live" in diary.deploys(app="new")
    assert diary.engine.snapshot.app("new").id == "ap-new"
