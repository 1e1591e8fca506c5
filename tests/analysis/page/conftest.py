"""One small page, which many tests look at."""

import json
from dataclasses import replace

import pytest

from analysis.page.record import Page, StudyPage
from analysis.report.summary import analyze


@pytest.fixture(scope="session")
def analysis(made):
    return analyze(made({4: 335, 16: 91, 64: 35, 256: 30, 1024: None}, trials=24))


@pytest.fixture(scope="session")
def page(analysis):
    return Page(studies=[StudyPage.of(analysis, "made", "")])


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
    shown = StudyPage.of(analyze(study), HOSTILE, HOSTILE, [{"command": HOSTILE}])
    return Page(studies=[shown])
