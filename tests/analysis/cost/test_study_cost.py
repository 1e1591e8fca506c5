"""The join of steps to target with step times, against a known truth."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.cost.estimates import TIME, amount, exact, product, ratio, record, text
from analysis.cost.sentences import cost_sentences
from analysis.cost.steps import steps_of, with_gap
from analysis.cost.study_cost import cost_of, join_costs
from analysis.errors import AnalysisError
from analysis.fitting.critical import FORM, SEEDS, TUNING
from analysis.fitting.estimates import Estimate
from analysis.fitting.tuning_gap import GAPS, TuningGap
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study
from tests.analysis.conftest import MADE_STEPS, make_study

GOLDEN = Path(__file__).parents[2] / "golden" / "search"


def test_the_interval_of_a_product_covers_it():
    rng = np.random.default_rng(3)
    # 95 % intervals of two log-normal numbers, whose product has one of 1.96 times its deviation
    deviations = np.array([0.1, 0.25])
    found = product(
        *(Estimate(value=1.0, low=np.exp(-1.96 * s), high=np.exp(1.96 * s)) for s in deviations)
    )
    drawn = np.exp(rng.normal(0, deviations, (20_000, 2)).sum(axis=1))
    assert np.mean((drawn > found.low) & (drawn < found.high)) == pytest.approx(0.95, abs=0.01)
    assert found.low == pytest.approx(1 / found.high)


def test_an_open_end_of_a_factor_is_open_in_the_product():
    open_above = Estimate(value=2.0, low=1.0, high=math.inf)
    assert product(open_above, exact(3.0)).high == math.inf
    assert product(open_above, exact(3.0)).low == pytest.approx(3.0)
    under = ratio(exact(3.0), open_above)
    assert (under.low, under.high) == (0.0, pytest.approx(3.0))
    assert record(under) == {"value": 1.5, "low": None, "high": pytest.approx(3.0)}
    assert text(Estimate(value=2.0, low=0.0, high=math.inf), TIME) == "2.0 s"
    assert text(open_above, TIME) == "2.0 s (> 1.0)"
    assert amount(0.0, TIME) == "0 \N{MICRO SIGN}s"


def test_costs_match_the_truth(cost, truth):
    found = cost(price=3.6)
    assert found.held == (SEEDS, TUNING, FORM)
    for row in found.rows:
        seconds = truth.steps(row.batch_size) * truth.seconds(row.batch_size)
        # the steps of some are whole, and so lie at the end of a bracket
        assert row.seconds.low <= seconds <= 1.01 * row.seconds.high
        assert row.seconds.value == pytest.approx(seconds, rel=0.1)
        assert row.money.value == pytest.approx(row.seconds.value / 1000)
        assert row.device_hours.value == pytest.approx(row.seconds.value / 3600)
        assert row.examples.value == pytest.approx(row.steps.value * row.batch_size)
        rate = row.examples_per_second
        assert rate.value == pytest.approx(row.batch_size / truth.seconds(row.batch_size))
        assert rate.low < rate.value < rate.high
        assert row.joules is None
        assert row.steps_found == math.ceil(truth.steps(row.batch_size))


def test_verdicts_match_the_truth(cost, truth):
    found = cost()
    times = {size: truth.steps(size) * truth.seconds(size) for size in truth.sizes}
    assert found.fastest.batch_size == min(times, key=times.get) == 64
    slower = {row.batch_size for row in found.rows} - {64}
    alike = {row.batch_size for row in found.as_fast}
    # twice as slow is told apart, a tenth is not
    assert {size for size in slower if times[size] > 2 * times[64]} <= slower - alike
    assert {size for size in slower if times[size] < 1.05 * times[64]} <= alike
    assert found.smallest_near.batch_size == 64
    # the throughput at B is B / (B + 100) of the most: within 10 % of that of 1024 from 512 on
    assert found.throughput_stops.batch_size == 512
    row, larger = next(pair for pair in found.doublings if pair[0].batch_size == 32)
    assert larger.batch_size == 64
    times_of = row.multiples(larger)
    assert times_of["seconds"].low < times[64] / times[32] < times_of["seconds"].high
    assert times_of["examples"].value == pytest.approx(2 * times_of["steps"].value)
    step_seconds = truth.seconds(64) / truth.seconds(32)
    assert times_of["step_seconds"].value == pytest.approx(step_seconds)


def test_without_a_fit_or_replicates_steps_have_no_interval(cost, without_fit):
    found = cost(without_fit)
    assert found.held == ()
    assert [record(row.steps) for row in found.rows] == [
        None,
        {"value": 335.0, "low": None, "high": None},
        {"value": 91.0, "low": None, "high": None},
    ]
    assert found.as_fast == ()


def test_a_batch_size_that_missed_or_was_not_timed_has_no_time(cost, costs, without_fit):
    found = cost(without_fit, costs((2, 4, 8)))
    times = {row.batch_size: row.seconds is not None for row in found.rows}
    assert times == {2: False, 4: True, 16: False}
    with pytest.raises(AnalysisError, match="must be of batch sizes of the study, 2, 4, 16"):
        join_costs(without_fit, costs((3, 5)), found.terms)


def test_times_without_a_spread_leave_the_interval_of_steps(cost, costs):
    found = cost(made=costs(step_seconds_low=None, step_seconds_high=None))
    for row in found.rows:
        step = row.step.seconds.value
        assert record(row.seconds) == pytest.approx(record(row.steps.times(step)))


def test_a_folder_without_step_times_has_no_cost(tmp_path, on_a_curve):
    assert cost_of(ResultsFolder.at(tmp_path), on_a_curve) is None


def test_energy_is_joined_where_it_is_known(cost, costs):
    found = cost(made=costs(step_joules=2.0))
    assert all(row.joules.value == pytest.approx(2 * row.steps.value) for row in found.rows)


def test_the_gap_lowers_the_lower_end_by_its_size():
    rng = np.random.default_rng(5)
    weights = np.exp(-(((np.log(GAPS) - np.log(0.2)) / 0.5) ** 2))
    gap = TuningGap(weights=weights / weights.sum())
    found = Estimate(value=100.0, low=100 * np.exp(-1.96 * 0.1), high=100 * np.exp(1.96 * 0.1))
    drawn = rng.normal(0, 0.1, 100_000) - rng.choice(GAPS, 100_000, p=gap.weights)
    wide = with_gap(found, gap)
    assert wide.low == pytest.approx(100 * np.exp(np.quantile(drawn, 0.025)), rel=0.01)
    assert (wide.value, wide.high) == (found.value, found.high)
    certain = with_gap(exact(100.0), gap)
    assert certain.low == pytest.approx(100 / (1 + gap.excess(0.975)), rel=0.02)
    unbounded = Estimate(value=100.0, low=0.0, high=math.inf)
    assert with_gap(unbounded, gap) == unbounded


def test_too_few_batch_sizes_to_compare_forms_have_steps_of_their_own(tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "golden")
    analysis = analyze(read_study(ResultsFolder.at(tmp_path / "golden")))
    steps, held = steps_of(analysis)
    assert analysis.fits is not None
    assert held == (SEEDS, TUNING)
    table = analysis.table.set_index("batch_size")
    for size, own in steps.items():
        assert own.value == table.at[size, "steps_median"]
        assert own.low < table.at[size, "low"]
        assert own.high == table.at[size, "high"]


def test_an_end_out_of_reach_is_open(tmp_path, cost, costs):
    shutil.copytree(GOLDEN, tmp_path / "golden")
    analysis = analyze(read_study(ResultsFolder.at(tmp_path / "golden")))
    unknown = TuningGap(weights=np.eye(len(GAPS))[-1])  # the best there is, e^8 times as fast
    tuning = replace(analysis.tuning, gaps=dict.fromkeys(analysis.tuning.gaps, unknown))
    found = cost(replace(analysis, tuning=tuning), costs((64, 256)))
    first = found.rows[0]
    assert (first.steps.low, first.seconds.low) == (0.0, 0.0)
    assert first.steps.high < 10 * first.steps.value
    assert any("do not bound the steps on both sides" in text for text in cost_sentences(found))


@pytest.mark.parametrize(
    ("key", "terms", "message"),
    [
        ({"batch_plans": {"4": [[0, 2], [10, 4]]}}, {}, "batch_schedule changes the batch during"),
        (
            {"federated": {"local_steps": 1}},
            {"devices": (1,)},
            "whose clients are already separate devices",
        ),
    ],
)
def test_studies_without_a_cost_are_refused(cost, without_fit, key, terms, message):
    study = replace(without_fit.study, config={**without_fit.study.config, **key})
    with pytest.raises(AnalysisError, match=message):
        cost(replace(without_fit, study=study), **terms)


@pytest.mark.parametrize(("sizes", "form"), [(5, False), (6, True)])
def test_intervals_cover_the_form_where_forms_were_compared(sizes, form):
    few = dict(list(MADE_STEPS.items())[:sizes])
    _, held = steps_of(analyze(make_study(few)))
    assert (FORM in held) is form
