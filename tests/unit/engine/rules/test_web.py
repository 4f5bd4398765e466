"""A diary of web functions: their labels, their URLs, and the edges that are told of them."""

from __future__ import annotations

from swell.engine.views.routes import urls
from swell.model import ClassSpec, MethodSpec, WebSpec
from swell.wire import web as w

WEB = WebSpec("asgi")
URL = "http://127.0.0.1:8700"


def edge(diary, client: int = 7, **said) -> list[str]:
    return diary.says(w.EdgeUp(**({"url": URL} | said)), client=client)


# ---------------------------------------------------------------- edges


def test_an_edge_is_wanted_when_there_is_something_to_serve(diary) -> None:
    assert diary.opens() == []
    assert diary.opens(app="web", web=WEB) == ["want an edge"]


def test_no_edge_is_wanted_where_http_is_switched_off(new_diary) -> None:
    diary = new_diary(web=False)
    assert diary.opens(web=WEB) == []
    (answer,) = diary.asks_url()
    assert answer == "fail 11: the server does not listen for HTTP: start it with SWELL_WEB=1"


def test_an_edge_is_told_the_routes_and_whenever_they_change(diary) -> None:
    assert edge(diary) == ["tell 7 the routes: none"]
    assert diary.opens(web=WEB) == ["tell 7 the routes: ap-f-dev"]
    assert diary.opens(app="calls") == []
    assert "tell 7 the routes: none" in diary.closes()


def test_another_edge_is_wanted_when_the_one_that_was_there_is_gone(diary) -> None:
    edge(diary)
    diary.opens(web=WEB)
    assert diary.vanishes(7) == ["want an edge"]
    assert edge(diary, 8) == ["tell 8 the routes: ap-f-dev"]


# ---------------------------------------------------------------- labels


def test_a_label_names_app_class_and_method(diary) -> None:
    edge(diary)
    cls = ClassSpec((MethodSpec("run"), MethodSpec("Look_up", web=WEB)))
    assert diary.deploys("Search.*", app="My_Shop", cls=cls)[-1] == "tell 7 the routes: my-shop-search-look-up"


def test_a_run_ends_its_labels_with_the_suffix_and_a_deployed_app_does_not(new_diary) -> None:
    diary = new_diary(dev_suffix="ada")
    edge(diary)
    assert diary.opens(app="shop", web=WEB) == ["tell 7 the routes: shop-f-ada"]
    assert diary.at(1.0).deploys(app="shop", web=WEB)[-1] == "tell 7 the routes: shop-f, shop-f-ada"


def test_a_label_is_of_the_app_that_came_last_until_that_ends(diary) -> None:
    edge(diary)
    diary.opens(app="one", client=1, web=WebSpec("asgi", label="shop"))
    diary.at(1.0).opens(app="two", client=2, web=WebSpec("asgi", label="shop"))
    last = diary.last[-1].message
    assert [route.app_id for route in last.routes] == ["two"]
    diary.closes("two", client=2)
    told = [effect.message for effect in diary.last if isinstance(getattr(effect, "message", None), w.Routes)]
    assert [route.app_id for route in told[-1].routes] == ["one"]


def test_two_functions_of_an_app_cannot_ask_for_one_label(diary) -> None:
    (answer,) = diary.opens("f", "g", web=WebSpec("asgi", label="same"))
    assert answer == "fail 1: two web functions of one app ask for the label 'same'; give one another label"


def test_a_label_that_is_no_part_of_a_host_name_is_refused(diary) -> None:
    (answer,) = diary.opens(web=WebSpec("asgi", label="My Shop"))
    assert answer.startswith("fail 1: f: label 'My Shop' must be 1 to 63 lower-case letters")


def test_variants_and_pinned_versions_have_no_routes(diary) -> None:
    edge(diary)
    diary.deploys(web=WEB)
    diary.deploys(web=WEB, code="two")
    diary.finds(version=1)
    diary.reads()
    diary.binds(min_containers=1)
    assert edge(diary, 8) == ["tell 8 the routes: shop-f"]


def test_a_function_that_the_live_version_lacks_has_no_route(diary) -> None:
    edge(diary)
    diary.deploys("f", "g", web=WEB)
    assert "tell 7 the routes: shop-f" in diary.deploys("f", code="two", web=WEB)


# ---------------------------------------------------------------- URLs


def test_a_url_is_told_once_an_edge_listens(diary) -> None:
    diary.opens(web=WEB)
    assert diary.asks_url() == ["want an edge"]
    assert edge(diary) == ["tell 7 the routes: ap-f-dev", f"tell 1: {URL}/ap-f-dev"]
    assert diary.asks_url() == [f"tell 1: {URL}/ap-f-dev"]


def test_the_urls_of_an_app_are_told_by_name_as_long_as_something_listens(diary) -> None:
    cls = ClassSpec((MethodSpec("run"), MethodSpec("site", web=WEB)))
    diary.opens("Model.*", app="one", cls=cls)
    diary.opens("f", app="two", client=2, web=WEB)
    app = diary.engine.state.apps["one"]
    assert urls(diary.engine.state, app) == {}
    edge(diary)
    assert urls(diary.engine.state, app) == {"Model.site": f"{URL}/one-model-site-dev"}


def test_who_has_left_is_told_no_url(diary) -> None:
    diary.opens(web=WEB, client=2)
    diary.asks_url(client=1)
    diary.vanishes(1)
    assert edge(diary) == ["tell 7 the routes: ap-f-dev"]


def test_what_does_not_answer_http_has_no_url(diary) -> None:
    diary.opens()
    assert diary.asks_url() == ["tell 1: no URL"]


def test_an_edge_that_cannot_listen_says_why_to_who_asks(diary) -> None:
    diary.opens(web=WEB)
    edge(diary, url="", trouble="port 8700 is taken")
    assert diary.asks_url() == ["fail 11: nothing answers HTTP: port 8700 is taken"]
    edge(diary)
    assert diary.asks_url() == [f"tell 1: {URL}/ap-f-dev"]


def test_the_url_of_a_function_that_is_not_there_cannot_be_told(diary) -> None:
    assert diary.says(w.GetWebUrl(11, "fu-none")) == ["fail 11: function fu-none does not exist; is its app running?"]


# ---------------------------------------------------------------- apps that cannot start


def test_requests_of_a_deployed_app_that_cannot_start_are_answered_and_its_calls_wait(diary) -> None:
    cls = ClassSpec((MethodSpec("run"), MethodSpec("site", web=WEB)))
    diary.deploys("Shop.*", app="shop", cls=cls, max_containers=1)
    diary.calls("fc-call", function="Shop.*", method="run")
    diary.asks_for("fc-1", function="Shop.*", method="site")
    told = "tell 7: fc-{}[0] INIT_FAILURE"
    assert diary.at(10.0).fails_to_start("c1") == ["record the end of c1", told.format(1)]
    assert diary.asks_for("fc-2", function="Shop.*", method="site") == [told.format(2)], "as long as starts pause"
    assert diary.story(diary.function("Shop.*")).state == (
        "inputs: 1 waiting, 0 running; containers: 0; the last start failed: no module; "
        "the next is not tried for 0.5 s; requests over HTTP are answered 500 meanwhile"
    )
    assert diary.at(11.0).meanwhile == ["start c2"]
    assert diary.asks_for("fc-3", function="Shop.*", method="site") == [], "it waits for the start that is on its way"
    assert [call.id for call in diary.pool("Shop.*").backlog.calls()] == ["fc-call", "fc-3"]


def test_requests_wait_for_the_last_of_several_starts(diary) -> None:
    diary.deploys(web=WEB, min_containers=2)
    diary.asks_for("fc-1")
    assert diary.fails_to_start("c1") == ["record the end of c1"]
    assert diary.fails_to_start("c2") == ["record the end of c2", "tell 7: fc-1[0] INIT_FAILURE"]
