"""A study whose steps lie on a known curve, with step times of a known law."""

import math
from types import SimpleNamespace

import pytest

from analysis.cost.step_costs import read_costs, write_costs
from analysis.cost.study_cost import Terms, join_costs
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder


def true_steps(batch_size):
    return 40 * (1 + 64 / batch_size)


def true_seconds(batch_size):
    """Return the time of a step that does a hundred examples' worth of work beside the batch."""
    return 1e-5 * (100 + batch_size)


@pytest.fixture(scope="session")
def truth():
    """The truth: time to target is least at B = 80, so of these batch sizes at 64."""
    sizes = tuple(2**k for k in range(1, 11))
    return SimpleNamespace(steps=true_steps, seconds=true_seconds, sizes=sizes)


@pytest.fixture(scope="session")
def on_a_curve(made, truth):
    """The analysis of a study whose fewest steps are the truth, rounded to whole steps."""
    return analyze(made({size: math.ceil(truth.steps(size)) for size in truth.sizes}))


@pytest.fixture(scope="session")
def without_fit(made):
    """The analysis of a study of which two batch sizes reached the target."""
    return analyze(made({2: None, 4: 335, 16: 91}, trials=4))


@pytest.fixture
def costs(tmp_path, truth):
    """Return a function that gives the costs of some batch sizes, as read back from a file."""

    def make(sizes=truth.sizes, spread=1.02, **columns):
        folder = ResultsFolder.at(tmp_path / "made")
        rows = [
            {
                "batch_size": size,
                "step_seconds": truth.seconds(size),
                "step_seconds_low": truth.seconds(size) / spread,
                "step_seconds_high": truth.seconds(size) * spread,
                "repeats": 7,
                "cores_lacking": 0.0,
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
    """Return a function that joins an analysis with costs, on some terms."""

    def join(analysis=on_a_curve, made=None, **terms):
        return join_costs(analysis, made or costs(), Terms(**terms))

    return join
