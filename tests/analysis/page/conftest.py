"""One small page, which many tests look at."""

import json
from dataclasses import replace

import pytest

from analysis.cost.devices import Link
from analysis.cost.step_costs import StepCosts
from analysis.cost.study_cost import Terms, join_costs
from analysis.page.record import Page, Records, StudyPage
from analysis.report.summary import analyze
from tests.analysis.made_diagnostics import diagnosed


@pytest.fixture(scope="session")
def analysis(made):
    return analyze(made({4: 335, 16: 91, 64: 35, 256: 30, 1024: None}, trials=24))


@pytest.fixture(scope="session")
def cost(analysis):
    rows = [
        {
            "batch_size": size,
            **dict.fromkeys(("step_seconds", "step_seconds_low", "step_seconds_high"), seconds),
            "device": "made",
            "source": "measured",
            "repeats": 7,
        }
        for size, seconds in ((4, 1.0), (16, 1.1), (64, 1.2), (256, 4.0))
    ]
    link = Link(bandwidth=1e9, parameters=1000)
    terms = Terms(price=3.6, devices=(1, 2, 4), link=link)
    return join_costs(analysis, StepCosts.of(rows), terms)


@pytest.fixture(scope="session")
def page(analysis, cost):
    return Page(studies=[StudyPage.of(analysis, "made", Records(cost=cost, diagnosed=diagnosed()))])


HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u202eevil\u2028{{ 7*7 }}"
)


def hostile(study):
    """Return a study in which every name that a stranger chooses is an attack."""
    config = json.loads(json.dumps(study.config))
    config |= {"workload": f"file.py:{HOSTILE}", "optimizer": HOSTILE}
    space = config["search"]["space"]
    space[HOSTILE] = space.pop("lr")
    trials = study.trials.rename(columns={"lr": HOSTILE})
    trials.loc[0, ["status", "message"]] = ["failed", HOSTILE]
    return replace(study, name=HOSTILE, config=config, trials=trials)


@pytest.fixture(scope="session")
def attacked(made):
    study = hostile(made({4: 335, 16: 91, 64: None}))
    shown = StudyPage.of(
        analyze(study), HOSTILE, Records(study_file=HOSTILE, sweeps=[{"command": HOSTILE}])
    )
    return Page(studies=[shown])
