"""What a reader does with a page of results, in a real browser."""

import re
from dataclasses import replace

import pytest

from analysis.page.rendering import page_html
from tests.analysis.page.conftest import HOSTILE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page_html(page))
    return path


@pytest.fixture
def tab(file, opened):
    watched = opened(file, viewport={"width": 1200, "height": 900})
    yield watched.tab
    assert watched.errors == []
    assert {*watched.requests} == {file.as_uri()}


def tip(tab):
    return tab.locator(".tip").inner_text()


def steps_table(tab):
    title = tab.get_by_role("heading", name="Steps to target", exact=True)
    return tab.locator("figure.table", has=title)


def test_the_verdict_comes_first_without_a_click(tab, page):
    assert tab.locator("h1").inner_text() == page.studies[0].verdict.headline
    assert tab.locator("h1").bounding_box()["y"] < 200
    assert "95% interval" in tab.locator(".verdict").inner_text()


def test_pointing_at_a_batch_size_shows_its_trials(tab):
    tab.locator(".column").nth(2).hover()
    assert "B = 64" in tip(tab)
    assert "35 steps fewest over 24 trials, search 3" in tip(tab)
    assert "lr " in tip(tab)
    tab.keyboard.press("Escape")
    assert tab.locator(".tip").is_hidden()


def test_pressing_a_batch_size_shows_its_search(tab):
    tab.locator(".column").nth(1).click()
    assert tab.locator("[data-size]").inner_text() == "B = 16"
    cover = tab.locator("[data-chart=scatter] .cover")
    star = tab.locator("[data-chart=scatter] .star").bounding_box()
    box = cover.bounding_box()
    cover.hover(position={"x": star["x"] + 8 - box["x"], "y": star["y"] + 8 - box["y"]})
    assert "search 3 reached the target in 91 steps" in tip(tab)
    assert tab.locator("[data-chart=curves] .lit").get_attribute("d")


def test_the_axis_shows_examples(tab):
    tab.get_by_role("radio", name="Examples").check()
    tab.locator(".column").nth(2).hover()
    assert "2,240 examples" in tip(tab)
    assert tab.locator("[data-chart=steps] .name").last.text_content() == "Examples to target"


@pytest.mark.long
def test_the_axis_shows_time_and_money(tab):
    tab.get_by_role("radio", name="Time").check()
    tab.locator(".column").nth(2).hover()
    assert "42 s the best point found" in tip(tab)  # 35 steps of 1.2 s
    assert tab.locator("[data-quantity]").inner_text() == "Time"
    tab.get_by_role("radio", name="Money").check()
    tab.locator(".column").nth(2).hover()
    assert "0.042 the best point found" in tip(tab)  # at 3.6 an hour
    tab.get_by_role("combobox", name="Target").select_option(index=1)
    tab.locator(".column").nth(2).hover()
    assert "fewest over 24 trials" in tip(tab)


@pytest.mark.long
def test_devices_are_found_by_keys(tab):
    tab.locator("[data-chart=devices] .cover").focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    assert "Devices: 2" in tip(tab)
    assert "times as fast as one" in tip(tab)


def test_another_target_is_chosen(tab):
    choice = tab.get_by_role("combobox", name="Target")
    choice.select_option(index=1)
    assert choice.locator("option").nth(1).inner_text().startswith("error < ")
    tab.locator(".column").nth(2).hover()
    steps = int(re.search(r"(\d+) steps fewest", tip(tab)).group(1))
    assert steps < 35


def test_curves_and_critical_batch_sizes_are_switched(tab):
    lines = tab.locator("[data-chart=steps] path.line")
    before = lines.count()
    tab.get_by_label("perfect scaling").uncheck()
    assert lines.count() == before - 1
    tab.get_by_label(re.compile("^b_20")).check()
    assert tab.locator(".critical").count() == 2


def test_a_table_is_sorted(tab):
    table = steps_table(tab)
    heading = table.get_by_role("button", name="steps", exact=True)
    cells = table.locator("tbody tr td:nth-child(3)")
    heading.click()
    assert cells.all_inner_texts() == ["30", "35", "91", "335", "-"]
    heading.click()
    assert cells.all_inner_texts() == ["335", "91", "35", "30", "-"]
    assert table.locator("th[aria-sort=descending]").inner_text() == "steps"


@pytest.mark.long
def test_a_table_is_copied(tab):
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    table = steps_table(tab)
    table.get_by_role("button", name="Copy CSV").click()
    table.get_by_role("button", name="Copied").wait_for()
    rows = tab.evaluate("navigator.clipboard.readText()").splitlines()
    assert rows[0].startswith("B,after,steps,examples,")
    assert rows[1].split(",")[2] == "335"
    table.get_by_role("button", name="Copy LaTeX").click()
    tab.get_by_text("LaTeX copied").wait_for(state="attached")
    assert "toprule" in tab.evaluate("navigator.clipboard.readText()")


def test_everything_can_be_reached_by_keyboard(tab):
    tab.locator(".column[aria-pressed=true]").focus()
    assert "B = 64" in tip(tab)
    tab.keyboard.press("ArrowRight")
    assert "B = 256" in tip(tab)
    tab.keyboard.press("Enter")
    assert tab.locator("[data-size]").inner_text() == "B = 256"
    tab.locator("[data-chart=scatter] .cover").focus()
    tab.keyboard.press("ArrowRight")
    assert "reached the target in 30 steps" in tab.locator("#said").inner_text()


@pytest.mark.long
def test_every_control_has_a_name(tab):
    named = "input, select, button, [tabindex='0']"
    unnamed = tab.evaluate(
        """(named) => [...document.querySelectorAll(named)].filter((one) =>
        !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim()))
        .map((one) => one.outerHTML)""",
        named,
    )
    assert unnamed == []


def test_the_place_is_kept_over_a_reload(tab):
    tab.locator(".column").nth(0).click()
    tab.get_by_role("radio", name="Examples").check()
    tab.reload()
    assert tab.locator("[data-size]").inner_text() == "B = 4"
    assert tab.get_by_role("radio", name="Examples").is_checked()


@pytest.mark.long
def test_a_page_of_a_running_sweep_reloads_itself(page, opened, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page_html(replace(page, reload_seconds=3)))
    tab = opened(path, viewport={"width": 1200, "height": 900}).tab
    tab.evaluate(
        """document.querySelector('.column').click();
        document.querySelector('details').open = true;
        scrollTo(0, 700);
        document.documentElement.dataset.before = 'yes'"""
    )
    path.write_text(page_html(page))
    tab.locator("html[data-ready]:not([data-before])").wait_for()
    assert tab.evaluate("scrollY") == 700
    assert tab.locator("[data-size]").inner_text() == "B = 4"
    assert tab.locator("details").first.get_attribute("open") is not None


@pytest.mark.long
@pytest.mark.parametrize("width", [1440, 820, 390])
def test_nothing_is_wider_than_the_window(file, opened, width):
    tab = opened(file, viewport={"width": width, "height": 800}).tab
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert tab.locator("h1").bounding_box()["width"] <= width


@pytest.mark.long
def test_sentences_and_tables_need_no_script(file, opened):
    tab = opened(file, java_script_enabled=False).tab
    assert tab.locator("h1").is_visible()
    assert tab.locator("table").count() > 3
    assert "need JavaScript" in tab.locator("noscript").inner_text()


def test_no_hostile_name_becomes_active(attacked, opened, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page_html(attacked))
    watched = opened(path)
    assert watched.errors == []
    assert watched.requests == [path.as_uri()]
    watched.tab.locator(".column").nth(0).click()
    watched.tab.locator("[data-chart=scatter] .cover").focus()
    watched.tab.keyboard.press("ArrowRight")
    assert "</script>" in tip(watched.tab)
    assert HOSTILE.count("\u202e") == 1
    assert "\u202e" not in watched.tab.locator("body").inner_text()
    assert watched.errors == []
