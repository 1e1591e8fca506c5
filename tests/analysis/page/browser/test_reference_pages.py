"""Pages of the reference studies, and of one with 10,000 trials, in a real browser."""

from pathlib import Path

import pytest

from analysis.page.record import Page, Records, Source, StudyPage, page_of
from analysis.page.rendering import MAX_BYTES, page_html
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study

REFERENCE = Path(__file__).parents[4] / "results" / "reference"
STUDIES = sorted(str(path.parent.relative_to(REFERENCE)) for path in REFERENCE.rglob("study.toml"))
GRIDS = sorted({name.split("/")[0] for name in STUDIES if "/" in name})
PAINT = """new Promise((done) => new PerformanceObserver((seen) => {
    const [found] = seen.getEntriesByName("first-contentful-paint");
    if (found) done(found.startTime);
}).observe({ type: "paint", buffered: true }))"""
FIRST_PAINT = 1000  # ms

pytestmark = [pytest.mark.slow, pytest.mark.long]


def written(page, path):
    path.write_text(page_html(page))
    assert path.stat().st_size < MAX_BYTES
    return path


def use(tab):
    """Press every batch size and every switch of the study shown."""
    for column in range(tab.locator(".study:visible .column").count()):
        tab.locator(".study:visible .column").nth(column).click()
    for switch in tab.locator("input[type=checkbox]:visible").all():
        switch.click()
    for chooser in tab.locator("select:visible").all():
        chooser.select_option(index=1)


@pytest.mark.parametrize("name", [*STUDIES, *GRIDS])
def test_every_reference_study_opens_and_works(name, opened, tmp_path):
    members = [one for one in STUDIES if one == name or one.startswith(f"{name}/")]
    folders = {one: ResultsFolder.at(REFERENCE / one) for one in members}
    sources = {one: Source(folder=f, tables=read_study(f)) for one, f in folders.items()}
    path = written(page_of(sources), tmp_path / "report.html")
    watched = opened(path, viewport={"width": 1200, "height": 900})
    for study in range(len(members)):
        if len(members) > 1:
            watched.tab.locator("[data-controls=study] input").nth(study).check()
        use(watched.tab)
    assert watched.errors == []
    assert watched.requests == [path.as_uri()]


def test_ten_thousand_trials_open_within_a_second(made, opened, tmp_path):
    steps = {2**k: max(20, round(8000 / 2**k)) for k in range(20)}
    analysis = analyze(made(steps, trials=500))
    path = written(
        Page(studies=[StudyPage.of(analysis, "large", Records())]), tmp_path / "report.html"
    )
    assert "training curves of 10,000 trials are shown" in path.read_text()
    paints = []
    for _ in range(3):
        watched = opened(path, viewport={"width": 1200, "height": 900})
        paints.append(watched.tab.evaluate(PAINT))
    assert min(paints) < FIRST_PAINT  # the least: other work on the machine only adds to it
    use(watched.tab)
    assert watched.errors == []
    assert watched.requests == [path.as_uri()]
