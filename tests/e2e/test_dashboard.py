"""The dashboard as people use it: in a browser, on the daemon, with apps at work."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from place import PATIENCE_S, Place
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: No sandbox, because root has none; the rest keeps the browser from asking for hosts of its maker's.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = PATIENCE_S * 1_000
PHONE = {"width": 360, "height": 740}

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium here; on Debian and Ubuntu: apt-get install chromium"
)

PROGRAM = """
import time
import swell

app = swell.App("shop")

@app.function(max_containers=3)
def order(seconds: float, text: str = "") -> str:
    print("ordered", text, flush=True)
    time.sleep(seconds)
    return text

@app.function(max_containers=2, scaledown_window=30)
def price(x: int) -> int:
    return x * x
"""


class Desk:
    """Somebody at a browser, and the server whose dashboard they look at."""

    def __init__(self, place: Place, browser: Browser) -> None:
        self.place = place
        self.browser = browser
        status = place.eventually(lambda: (told := place.json("status"))["admin_url"] and told)
        self.url: str = status["admin_url"]
        self.token = Path(status["admin_token_file"]).read_text().strip()

    def link(self) -> str:
        """Return a link that logs in once."""
        return self.place.json("dashboard", "--no-open")["url"]

    def page(self, **options: Any) -> Page:
        """Open the dashboard in a browser of its own, logged in. What it complains about must be nothing."""
        page = self.browser.new_context(locale="en-GB", **options).new_page()
        page.set_default_timeout(PATIENCE_MS)
        self.log_in(page)
        return page

    def log_in(self, page: Page) -> None:
        page.goto(self.link())
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda url: "/login" not in url)

    def show(self, page: Page, path: str) -> None:
        page.goto(f"{self.url}/#/{path}")

    def function(self, name: str) -> dict[str, Any]:
        """Return what the API says of a function of the shop's."""
        asked = urllib.request.Request(
            f"{self.url}/api/v1/apps/shop/functions/{name}", headers={"authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def settings(self, name: str) -> dict[str, Any]:
        return self.function(name)["autoscaler"]["effective"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("place")
    place = _place(folder)
    (folder / "shop.py").write_text(PROGRAM)
    try:
        place.told("start")
        place.told("deploy", "shop.py")
        yield Desk(place, browser)
    finally:
        place.end()


def _place(folder: Path) -> Place:
    place = Place(folder, folder / "data", web=True)
    place.environment |= {"SWELL_ADMIN_PORT": "0", "SWELL_WEB_PORT": "0"}
    return place


@pytest.fixture(autouse=True)
def _closed(browser: Browser) -> Iterator[None]:
    yield
    for context in browser.contexts:
        context.close()


def test_a_link_logs_in_once(desk: Desk) -> None:
    link = desk.link()
    assert link.startswith(f"{desk.url}/login?token=")
    page = desk.browser.new_page()
    answer = page.goto(link)
    assert answer and answer.status == 200
    page.reload()  # as a preview or a scanner fetches it: that spends nothing
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="shop")).to_be_visible()
    assert "token" not in page.url
    page.reload()
    expect(page.get_by_role("heading", name="shop")).to_be_visible()

    another = desk.browser.new_context().new_page()
    answer = another.goto(link)
    assert answer and answer.status == 403
    expect(another.get_by_text("This link has been used")).to_be_visible()
    answer = another.goto(desk.url)
    assert answer and answer.status == 401
    expect(another.get_by_text("swell dashboard")).to_be_visible()


def test_nothing_comes_from_elsewhere_and_nothing_fails(desk: Desk) -> None:
    page = desk.browser.new_page()
    asked, complaints = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda told: complaints.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    desk.log_in(page)
    for path in ("", "containers", "calls", "logs"):
        desk.show(page, path)
        expect(page.locator(".connection")).to_contain_text("live")
        expect(page.locator("main h1")).to_be_attached()
    desk.show(page, "")
    page.get_by_role("link", name="order", exact=True).click()
    expect(page.locator(".chart canvas")).to_have_count(4)
    assert complaints == []
    assert all(url.startswith((f"{desk.url}/", "data:")) for url in asked), asked


def test_numbers_move_while_calls_run(desk: Desk) -> None:
    page = desk.page()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="order", exact=True))
    expect(row).to_be_visible()
    call_id = desk.place.python("print(swell.Function.from_name('shop', 'order').spawn_map([1_000.0] * 5).object_id)")
    try:
        expect(row.locator("[data-name=running]")).to_have_text("3")
        expect(row.locator("[data-name=waiting]")).to_have_text("2")
        expect(row.locator("[data-name=containers]")).to_have_text("3/3")

        page.get_by_role("link", name="order", exact=True).click()
        expect(page.get_by_role("heading", name="order")).to_be_visible()
        expect(page.locator(".why")).to_contain_text("max_containers")
        expect(page.locator(".decisions li").first).to_contain_text(re.compile(r"→ \d"))

        desk.show(page, "containers")
        expect(page.locator("table.containers tbody tr")).to_have_count(3)

        desk.show(page, f"calls/{call_id}")
        expect(page.locator(".events li").first).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    finally:
        desk.place.swell("call", "cancel", call_id)
    desk.show(page, "calls")
    expect(page.get_by_role("row").filter(has=page.get_by_title(call_id))).to_contain_text("ended")


def test_a_call_shows_where_its_time_went(desk: Desk) -> None:
    call_id = desk.place.python("print(swell.Function.from_name('shop', 'order').spawn_map([0.0] * 30).object_id)")
    page = desk.page()
    page.get_by_role("link", name="Calls", exact=True).click()
    page.get_by_title(call_id).click()
    expect(page.locator(".title .pill")).to_have_text("ended")
    expect(page.get_by_role("figure", name="Where the time went")).to_contain_text("ran")
    inputs = page.get_by_role("figure", name="When each input waited and ran")
    expect(inputs.locator(".lane")).to_have_count(20)
    expect(inputs).to_contain_text("and 10 more")
    expect(page.locator(".events")).to_contain_text("opened")
    page.locator(".events").get_by_role("link").first.click()
    expect(page.locator("main h1")).to_contain_text("ta-")
    expect(page.locator(".events")).to_contain_text("requested")


def test_a_slider_changes_the_autoscaler(desk: Desk) -> None:
    page = desk.page()
    page.get_by_role("link", name="price", exact=True).click()
    settings = page.get_by_role("region", name="Autoscaler")
    window = settings.get_by_role("slider", name="Keep idle ones for")
    expect(window).to_have_value("30")
    window.focus()
    window.press("ArrowRight")
    desk.place.eventually(lambda: desk.settings("price")["scaledown_window"] == 31)
    expect(settings).to_contain_text("1 setting changed")

    settings.get_by_label("At most, exactly").fill("7")
    settings.get_by_label("At most, exactly").press("Enter")
    desk.place.eventually(lambda: desk.settings("price")["max_containers"] == 7)
    expect(settings).to_contain_text("2 settings changed")
    expect(settings).to_contain_text("declared: 2")

    settings.get_by_role("button", name="Reset Keep idle ones for").click()
    settings.get_by_role("button", name="Reset At most").click()
    desk.place.eventually(lambda: desk.settings("price")["max_containers"] == 2)
    expect(settings).to_contain_text("As declared")
    assert desk.settings("price")["scaledown_window"] == 30


def test_what_the_server_refuses_is_said_beside_the_slider(desk: Desk) -> None:
    page = desk.page()
    page.get_by_role("link", name="price", exact=True).click()
    settings = page.get_by_role("region", name="Autoscaler")
    settings.get_by_label("At least, exactly").fill("5")
    settings.get_by_label("At least, exactly").press("Enter")
    expect(settings.locator(".trouble")).to_contain_text("max_containers")
    assert desk.settings("price")["min_containers"] == 0
    expect(settings.get_by_label("At least, exactly")).to_have_value("0")


def test_logs_follow(desk: Desk) -> None:
    page = desk.page()
    desk.place.python("swell.Function.from_name('shop', 'order').remote(0.0, 'before')")
    page.get_by_role("link", name="Logs").first.click()
    lines = page.get_by_role("log")
    expect(lines.get_by_text("ordered before")).to_be_visible()
    desk.place.python("swell.Function.from_name('shop', 'order').remote(0.0, 'meanwhile')")
    expect(lines.get_by_text("ordered meanwhile")).to_be_visible()

    page.get_by_label("Search in the lines").fill("BEFORE")
    expect(lines.get_by_text("ordered before")).to_be_visible()
    expect(lines.get_by_text("ordered meanwhile")).to_be_hidden()
    page.get_by_label("Search in the lines").fill("")
    page.get_by_role("button", name="Pause").click()
    desk.place.python("swell.Function.from_name('shop', 'order').remote(0.0, 'paused')")
    page.get_by_role("button", name=re.compile(r"Go on \(\d+ new\)")).click()
    expect(lines.get_by_text("ordered paused")).to_be_visible()


def test_a_container_is_stopped(desk: Desk) -> None:
    desk.place.python("swell.Function.from_name('shop', 'price').remote(1)")
    page = desk.page()
    page.get_by_role("link", name="Containers", exact=True).click()
    rows = page.locator("table.containers tbody tr").filter(has_text="price")
    expect(rows.first).to_be_visible()
    container_id = rows.first.get_by_role("link").first.get_attribute("title")
    page.get_by_role("button", name=f"Stop {container_id}").click()
    page.get_by_role("dialog").get_by_role("button", name="When it has finished").click()
    expect(page.get_by_title(container_id or "")).to_be_hidden()


def test_one_machine_is_not_told_apart(desk: Desk) -> None:
    desk.place.python("swell.Function.from_name('shop', 'price').remote(1)")
    page = desk.page()
    expect(page.get_by_role("region", name="Nodes").get_by_role("meter")).to_have_count(3)
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link")).to_have_text(
        ["Overview", "Containers", "Calls", "Logs"]
    )
    desk.show(page, "containers")
    expect(page.locator("table.containers tbody tr").first).to_be_visible()
    expect(page.get_by_role("columnheader", name="Node")).to_have_count(0)


def test_nodes_are_listed_each_with_its_containers(tmp_path: Path, browser: Browser) -> None:
    place = _place(tmp_path)
    place.environment |= {"SWELL_BACKEND": "agents", "SWELL_AGENTS": "2"}
    (tmp_path / "shop.py").write_text(PROGRAM)
    try:
        place.told("start")
        place.told("deploy", "shop.py")
        place.spawn("order", 1_000, app="shop")
        (container,) = place.eventually(lambda: [row for row in place.json("container", "list") if row["running"]])
        desk = Desk(place, browser)
        page = desk.page()
        there, other = sorted(("node-1", "node-2"), key=lambda name: name != container["node"])
        rows = page.get_by_role("region", name="Nodes").locator("table.machines tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.filter(has_text=there)).to_contain_text("ready")
        expect(rows.filter(has_text=there)).to_contain_text(re.compile(r"\d (µs|ms)|silent"))

        page.get_by_role("link", name="Containers", exact=True).click()
        page.locator("table.containers").get_by_role("link", name=there).click()
        expect(page.get_by_role("heading", name=there).first).to_be_visible()
        expect(page.locator("table.containers tbody tr")).to_have_count(1)
        expect(page.get_by_title(container["container_id"])).to_be_visible()

        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Nodes").click()
        place.told("node", "drain", other)
        expect(page.locator("table.machines tbody tr").filter(has_text=other)).to_contain_text("drained")
        page.get_by_label("Filter").fill("drained")
        expect(page.locator("table.machines tbody tr")).to_have_count(1)
        page.set_viewport_size(PHONE)
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide <= 0
    finally:
        if place.swell("status").returncode == 0:
            place.end()


def test_a_node_that_is_refused_is_shown_with_the_reason(tmp_path: Path, browser: Browser) -> None:
    place = _place(tmp_path)
    place.environment |= {"SWELL_BACKEND": "agents", "SWELL_AGENTS": "1", "PYTHONPATH": str(tmp_path)}
    told = "import platform, sys\nif 'swell.agent.main' in sys.orig_argv: platform.python_version = lambda: '2.7.18'\n"
    (tmp_path / "sitecustomize.py").write_text(told)
    try:
        place.told("start")
        page = Desk(place, browser).page()
        expect(page.get_by_role("list", name="Refused nodes")).to_contain_text("node-1 it has Python 2.7")
    finally:
        if place.swell("status").returncode == 0:
            place.end()


def test_a_telephone_shows_all_of_it(desk: Desk) -> None:
    page = desk.page(viewport=PHONE, has_touch=True, is_mobile=True)
    expect(page.get_by_role("heading", name="shop")).to_be_visible()
    function_id = desk.function("order")["function"]["function_id"]
    for path in ("", f"functions/{function_id}", "containers", "calls", "logs"):
        desk.show(page, path)
        expect(page.locator("main h1")).to_be_attached()
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide <= 0, path


def test_colours_follow_the_system_until_somebody_chooses(desk: Desk) -> None:
    page = desk.page(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Switch to dark colours").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_newcomer_is_told_what_to_type_and_a_lost_server_is_noticed(tmp_path: Path, browser: Browser) -> None:
    place = _place(tmp_path)
    try:
        place.told("start")
        desk = Desk(place, browser)
        page = desk.page()
        expect(page.get_by_role("heading", name="Nothing runs here yet")).to_be_visible()
        expect(page.get_by_text("swell deploy examples/deployed.py")).to_be_visible()
        place.told("stop")
        expect(page.get_by_role("alert")).to_contain_text("connection is lost")
    finally:
        if place.swell("status").returncode == 0:
            place.end()


def test_the_page_in_the_package_is_what_its_sources_make(repository: Path, tmp_path: Path) -> None:
    vite = repository / "dashboard/node_modules/.bin/vite"
    if not vite.exists():
        pytest.skip("the tools that build the page are not installed; in dashboard/: npm ci")
    subprocess.run(
        [vite, "build", "--outDir", tmp_path / "assets", "--logLevel", "error"],
        cwd=repository / "dashboard",
        check=True,
        timeout=PATIENCE_S * 3,
    )
    shipped = repository / "src/swell/edge/admin/assets"
    assert _contents(tmp_path / "assets") == _contents(shipped), "in dashboard/: npm run build"


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
