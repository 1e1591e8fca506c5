"""Pages of studies that lack something, in a real browser."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.page.record import Page, Records, StudyPage
from analysis.page.rendering import page_html
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study
from tests.analysis.conftest import make_study

GOLDEN = Path(__file__).parents[3] / "golden"

pytestmark = [pytest.mark.slow, pytest.mark.long]


def recorded(name):
    return read_study(ResultsFolder.at(GOLDEN / name))


def without_curves():
    study = make_study({4: 335, 16: 91, 64: 35})
    config = study.config | {"imported": {"origin": "runs.csv"}}
    trials = study.trials.assign(steps_before=study.trials["steps_before"] * pd.NA)
    return replace(study, config=config, trials=trials, curves=study.curves.head(0))


def failed():
    study = make_study({4: 335, 16: 91, 64: 35})
    trials = study.trials.copy()
    wrong = trials["batch_size"] == 16
    trials.loc[wrong, ["status", "message"]] = ["failed", "ValueError: no"]
    trials.loc[wrong, ["steps", "steps_before"]] = None
    trials.loc[wrong, "stopped_at"] = 0
    trials.loc[wrong, "best_error"] = float("nan")
    return replace(study, trials=trials)


def planned():
    study = make_study({4: 335, 16: 91, 64: 35})
    plans = {str(size): [[0, size], [20, 2 * size]] for size in (4, 16, 64)}
    return replace(study, config=study.config | {"batch_schedule": {}, "batch_plans": plans})


STUDIES = {
    "one batch size": lambda: make_study({64: 35}),
    "none reached": lambda: make_study({4: None, 64: None}),
    "nothing searched": lambda: make_study({4: 335, 16: 91, 64: 35}, searched=()),
    "one hyperparameter": lambda: make_study({4: 335, 16: 91, 64: 35}, searched=("lr",)),
    "one trial": lambda: make_study({4: 335, 16: 91, 64: 35}, trials=1),
    "many batch sizes": lambda: make_study({2 * k: 400 // k + 20 for k in range(1, 60)}, trials=4),
    "no curves": without_curves,
    "failed": failed,
    "batch schedule": planned,
    "recipe": lambda: recorded("recipe"),
    "search": lambda: recorded("search"),
}


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("width", [1200, 360])
def test_what_is_missing_breaks_nothing(name, width, opened, tmp_path):
    analysis = analyze(STUDIES[name]())
    page = Page(studies=[StudyPage.of(analysis, name, Records())])
    path = tmp_path / "report.html"
    path.write_text(page_html(page))
    watched = opened(path, viewport={"width": width, "height": 800})
    tab = watched.tab
    for column in tab.locator(".column").all():
        column.click(force=True)
    tab.get_by_role("radio", name="Examples").check()
    for place, examples in enumerate(analysis.table["examples"]):
        if not pd.isna(examples):
            said = tab.locator(".column").nth(place).get_attribute("aria-label")
            assert f"{examples:,} examples fewest" in said
    for control in tab.locator("input:visible").all():
        control.click(force=True)
    for cover in tab.locator(".cover:visible").all():
        cover.focus()
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowLeft")
    for chooser in tab.locator("select:visible").all():
        chooser.select_option(index=1)
    assert watched.errors == []
    for word in ("NaN", "null", "undefined", "Infinity"):
        assert word not in tab.locator("main").inner_html()
