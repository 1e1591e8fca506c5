from pathlib import Path

import pytest

from analysis.measures.diagnostics import MOVES_BY
from analysis.measures.scaling_rules import DECOUPLED
from study.errors import StudyError
from study.optimizers import OPTIMIZERS
from study.optimizers.momentum import NESTEROV
from study.optimizers.registry import optimizer_named
from tests.entry_points import Point
from workloads import entry_points


@pytest.fixture
def installed(monkeypatch):
    """Return a function that pretends that entry points are installed."""
    return lambda *points: monkeypatch.setattr(entry_points, "installed", lambda group: points)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_built_in_name_is_found(name):
    assert optimizer_named(name) is OPTIMIZERS[name]


def test_what_analysis_knows_of_optimizers_is_what_the_table_has():
    assert set(DECOUPLED) == {n for n, rule in OPTIMIZERS.items() if rule.decoupled_decay}
    gradient = {"sgd", "asgd", "heavy-ball", "nesterov", "schedule-free-sgd", "lbfgs"}
    assert OPTIMIZERS.keys() - MOVES_BY.keys() == gradient | {"lars", "lamb"}


def test_the_guide_has_every_optimizer():
    guide = Path("docs/guide/optimizers.md").read_text()
    assert [name for name in OPTIMIZERS if f"`{name}`" not in guide] == []


def test_an_entry_point_provides_an_optimizer(installed):
    installed(Point("mine", NESTEROV))
    assert optimizer_named("mine") is NESTEROV


@pytest.mark.parametrize(
    ("name", "points", "message"),
    [
        ("nestrov", [], "must be one of sgd, .*, got 'nestrov'; did you mean 'nesterov'"),
        ("mien", [Point("mine", NESTEROV)], "got 'mien'; did you mean 'mine'"),
        ("xxxx", [], "got 'xxxx'$"),
        (
            "sgd",
            [Point("adam", NESTEROV)],
            "'adam' from other-package and batchscale itself; uninstall",
        ),
        (
            "mine",
            [Point("mine", NESTEROV), Point("mine", NESTEROV, "third")],
            "'mine' from third and other-package",
        ),
        ("mine", [Point("mine", ImportError("no torch"))], "must import, got ImportError: no torc"),
        ("mine", [Point("mine", 3)], r"must be a study\.optimizers\.Optimizer, or a class"),
        ("mine", [Point("mine", {})], r"must be a study\.optimizers\.Optimizer, or a class"),
    ],
)
def test_anything_but_an_optimizer_is_refused(installed, name, points, message):
    installed(*points)
    with pytest.raises(StudyError, match=message):
        optimizer_named(name)
