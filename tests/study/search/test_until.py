"""What a sweep does past its plan, with made outcomes whose b_crit is known."""

import random
from dataclasses import replace

import numpy as np
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.models import sensitivities
from analysis.fitting.points import Points
from analysis.report.record import sentences
from analysis.report.summary import analyze
from analysis.tables.schema import BOXES_FILE, CURVES_FILE, TRIALS_FILE
from analysis.tables.study import StudyTables, as_frame
from study.config.batch_sizes import spread
from study.config.until import Grant, UntilConfig
from study.engine.outcomes import final_results
from study.records import Role
from study.search.narrowing import half_width, worth_measuring
from study.search.until import ENOUGH, Spent, next_grants
from study.storage.consolidate import tables_of
from tests.study.search import made_searches
from tests.study.search.made_searches import missed, reached

B_CRIT = 40
SIZES = [2, 8, 32, 128, 512]
POWERS = tuple(2**power for power in range(1, 10))


def made(b_crit, noise):
    """Return outcomes of the hyperbola, with the place of the learning rate, and noise of seeds."""

    def outcome(size, point):
        luck = np.random.default_rng(point.seed).standard_normal()
        away = np.log(point.values["lr"] / 0.03) ** 2
        fewest = min(100, 20_000 / b_crit)
        return reached(round(fewest * (1 + b_crit / size) * (1 + away) * np.exp(noise * luck)) + 1)

    return outcome


NOISY = made(B_CRIT, 0.2)


def swept(study, at_once=1, ends=NOISY):
    """Return the grants of a sweep with `until`, step by step, and how it ended."""
    steps, results = [], []
    while True:
        order = random.Random(at_once)
        _, results = made_searches.sweep(study, results, at_once=at_once, order=order, ends=ends)
        results.sort(key=lambda r: (r.batch_size, list(Role).index(r.point.role), r.point.trial))
        tables = tables_of(study, final_results(study, results))
        found = analyze(
            StudyTables(
                name="made",
                config=study.as_data(),
                trials=as_frame(tables[TRIALS_FILE]),
                curves=as_frame(tables[CURVES_FILE]),
                boxes=as_frame(tables[BOXES_FILE]),
            )
        )
        assert not found.unfinished
        grants = next_grants(study, found, Spent.of(results))
        if not grants.granted:
            return steps, grants.why, found, Spent.of(results)
        steps.append(grants.granted)
        study = study.with_grants(grants.granted)


@pytest.fixture(scope="module")
def make(make_study):
    def make(**until):
        lr = {"low": 0.01, "high": 0.1, "scale": "log"}
        study = make_study(
            batch_sizes=SIZES,
            search={"trials": 8, "space": {"lr": lr}},
            race={"max_steps": 10_000},
            replicates={"seeds": 3},
        )
        return study.model_copy(update={"until": UntilConfig(**until), "adaptive": True})

    return make


@pytest.fixture(scope="module")
def narrowed(make):
    return swept(make(b_crit=0.4))


def test_a_sweep_goes_on_until_the_interval_is_narrow_enough(make, narrowed):
    steps, why, found, _ = narrowed
    assert steps
    estimate = found.critical["b_crit"].estimate
    assert half_width(estimate) <= 0.4
    assert "as asked for (until.b_crit = 0.4)" in why
    assert all(len(granted) <= 2 for granted in steps)


@pytest.fixture(scope="module")
def planned(make):
    return swept(make(b_crit=9.0))


def test_a_study_that_is_narrow_enough_gets_nothing_more(planned):
    assert planned[0] == []
    assert "as asked for (until.b_crit = 9)" in planned[1]


def test_the_steps_do_not_depend_on_how_many_run_at_once(make, narrowed):
    assert swept(make(b_crit=0.4), at_once=7)[0] == narrowed[0]


def test_a_cap_ends_it_and_it_says_what_it_would_take(make, narrowed, planned):
    plan = planned[3].steps
    cap = (plan + narrowed[3].steps) // 2
    _, why, _, spent = swept(make(b_crit=0.4, trial_steps=cap))
    assert plan < spent.steps <= cap
    assert f"grant would exceed until.trial_steps = {cap:,}; until.b_crit = 0.4 would take " in why
    assert "times the" in why
    hours = next_grants(make(hours=0.001), planned[2], replace(planned[3], hours=0.002))
    assert hours.why.endswith("would exceed until.hours = 0.001")


def test_what_narrows_is_where_steps_move_b_crit(make):
    steps = 100 * (1 + B_CRIT / np.array(SIZES, float))
    weights = sensitivities(np.array(SIZES, float), B_CRIT)
    base = fit(Points.of(SIZES, steps)).b_crit.value
    for at, weight in enumerate(weights):
        moved = steps.copy()
        moved[at] *= 1.001
        change = np.log(fit(Points.of(SIZES, moved)).b_crit.value / base) / np.log(1.001)
        assert change == pytest.approx(weight, abs=0.03)


def test_a_bound_that_noise_hides_is_found(make):
    _, why, found, spent = swept(make(trial_steps=1), ends=made(400, 0.3))
    assert not found.critical["b_crit"].estimate.identified
    assert why.endswith(
        "until.trial_steps = 1; raise it, or add batch sizes on the side that has no bound"
    )
    _, why, _, more = swept(make(b_crit=3.0), ends=made(400, 0.3))
    assert spent.steps < more.steps < 1.1 * spent.steps
    assert "as asked for (until.b_crit = 3)" in why


@pytest.mark.parametrize(
    ("b_crit", "remedy"), [(1e6, "add batch sizes above 512"), (0.001, "add batch sizes below 2")]
)
def test_batch_sizes_of_one_regime_end_it(make, b_crit, remedy):
    _, why, found, _ = swept(make(b_crit=0.5), ends=made(b_crit, 0.1))
    assert not found.critical["b_crit"].estimate.identified
    assert "all measured batch sizes seem to" in why
    assert why.endswith(remedy)


def test_batch_sizes_that_missed_the_target_get_more_trials(make):
    def ends(size, point):
        late = size > 8 and point.trial < 16 and point.role is Role.SEARCH
        return missed() if late else NOISY(size, point)

    steps, why, _, _ = swept(make(b_crit=9.0), ends=ends)
    assert {grant.batch_size for grant in steps[0]} == {128, 512}
    assert "as asked for" in why
    study = make(trial_steps=1)
    _, why, found, spent = swept(study, ends=lambda *_: missed())
    assert "would exceed until.trial_steps = 1; raise it, or loosen race.target" in why
    study = study.with_grants([Grant(batch_size=size, trials=32, seeds=3) for size in SIZES])
    why = next_grants(study, found, spent).why
    assert "even with more trials where it was missed; raise race.max_steps" in why


def test_seeds_that_a_lucky_trial_cut_off_are_followed_by_longer_ones(make):
    def ends(size, point):
        cut_off = size == 128 and point.role is Role.REPLICATE and point.trial < 2
        return missed() if cut_off else NOISY(size, point)

    _, _, found, spent = swept(make(trial_steps=1), ends=ends)
    bound = found.table.set_index("batch_size")["median_bound"].dropna()
    assert bound.index.tolist() == [128]
    study = make(b_crit=0.1)
    (grant,) = next_grants(study, found, spent).granted
    assert grant == Grant(batch_size=128, trials=8, seeds=5)
    confirmed = study.replicates.model_copy(update={"confirm": 3})  # half of all six again
    (of_all,) = next_grants(
        study.model_copy(update={"replicates": confirmed}), found, spent
    ).granted
    assert of_all.seeds == 3 + 3
    # not for ever, as they may miss it at any cap
    study = study.with_grants([Grant(batch_size=128, trials=8, seeds=12)])
    assert next_grants(study, found, spent).granted != (grant,)


def choosing(make, **until):
    study = make(**until)
    return study.model_copy(update={"candidates": POWERS, "batch_sizes": spread(POWERS)})


def test_a_sweep_that_chooses_adds_batch_sizes_until_it_is_narrow(make):
    steps, why, found, _ = swept(choosing(make, b_crit=2.0))
    assert "as asked for (until.b_crit = 2)" in why
    sizes = found.study.config["batch_sizes"]
    assert ENOUGH <= len(sizes) < len(POWERS)
    seen = {*spread(POWERS)}
    for granted in steps:
        new = {grant.batch_size for grant in granted} - seen
        assert len(new) <= 1
        seen |= new
    estimate = found.critical["b_crit"].estimate
    assert estimate.low < B_CRIT < estimate.high
    chose = f"The sweep chose these {len(sizes)} batch sizes among 2 to 512"
    assert chose in " ".join(sentences(found))


def test_a_sweep_that_chooses_says_nothing_of_batch_sizes_to_add(make):
    _, why, _, _ = swept(choosing(make, trial_steps=1), ends=made(400, 0.3))
    assert why.endswith("would exceed until.trial_steps = 1; raise it")


def test_a_sweep_that_chooses_looks_beyond_its_batch_sizes(make):
    steps, why, _, _ = swept(choosing(make, b_crit=0.5), ends=made(1e5, 0.05))
    assert [grant.batch_size for (grant,) in steps] == [512]
    assert "all measured batch sizes seem to scale perfectly" in why
    assert why.endswith("add batch sizes above 512")


def test_no_batch_size_is_chosen_beyond_one_that_missed_the_target(make):
    def walled(size, point):
        return missed() if size <= 16 else NOISY(size, point)

    _, _, found, spent = swept(choosing(make, trial_steps=1), ends=walled)
    study = choosing(make, b_crit=9.0)
    assert worth_measuring(study, found) == [32, 128, 512]
    # two reached the target: a third between them, for a fit
    (grant,) = next_grants(study, found, spent).granted
    assert grant.batch_size == 128


def test_until_and_grants_are_no_part_of_a_studys_identity(make):
    study = make(b_crit=0.1)
    grown = study.with_grants([Grant(batch_size=8, trials=12, seeds=3)])
    grown = grown.with_grants([Grant(batch_size=8, trials=12, seeds=5)])
    plain = study.model_copy(update={"until": None})
    assert grown.digest() == study.digest() == plain.digest()
    assert (grown.trials_at(8), grown.seeds_at(8), grown.trials_at(2)) == (12, 5, 8)
    assert "granted" not in plain.as_data()


def test_until_says_how_far():
    with pytest.raises(ValueError, match="must give b_crit, trial_steps or hours"):
        UntilConfig()
