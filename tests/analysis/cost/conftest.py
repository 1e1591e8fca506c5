"""A study whose steps lie on a known curve, with step times of a known law."""

import pytest

from analysis.cost.step_costs import read_costs, write_costs
from analysis.cost.study_cost import Terms, joined
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder

SIZES = tuple(2**k for k in range(1, 11))
S_MIN, B_CRIT = 40.0, 64.0
FIXED, EACH = 1e-3, 1e-5
"""Seconds of a step, and of each example in it: throughput saturates, and B = 80 is fastest."""


def true_steps(batch_size):
    return S_MIN * (1 + B_CRIT / batch_size)


def true_seconds(batch_size):
    return FIXED + EACH * batch_size


@pytest.fixture(scope="session")
def on_a_curve(made):
    """The analysis of a study whose fewest steps lie on a hyperbola, rounded to whole steps."""
    return analyze(made({size: round(true_steps(size)) for size in SIZES}))


@pytest.fixture
def costs(tmp_path):
    """Return a function that gives the costs of some batch sizes, as read back from a file."""

    def make(sizes=SIZES, spread=1.02, **columns):
        folder = ResultsFolder.at(tmp_path / "made")
        rows = [
            {
                "batch_size": size,
                "step_seconds": true_seconds(size),
                "step_seconds_low": true_seconds(size) / spread,
                "step_seconds_high": true_seconds(size) * spread,
                "repeats": 7,
                "device": "made",
                "source": "measured",
            }
            | columns
            for size in sizes
        ]
        write_costs(folder, rows)
        return read_costs(folder)

    return make


@pytest.fixture
def cost(on_a_curve, costs):
    """Return a function that joins the study with costs, on some terms."""
    return lambda analysis=on_a_curve, made=None, **terms: joined(
        analysis, made or costs(), Terms(**terms)
    )
