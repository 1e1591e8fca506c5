"""Averaged weights: the exact recursion, in every mode, beside weights that never see them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.tables.schema import AVERAGED_ERROR, RAW_ERROR
from study.engine.cohort import build_lanes, run_cohort
from study.engine.lanes import OTHER_WEIGHTS_INTERVAL
from study.engine.networks.training import Layout, fresh_model
from study.errors import StudyError
from study.planning.resolve import resolve
from study.records import Cohort, Point
from study.replay.trial import same_curve
from tests.study.planning.test_resolve import BLOBS

DECAYS = (0.0, 0.5, 0.9)
OWN = {"optimizer": "schedule-free-sgd"}
SPACE = {"lr": 0.1, "momentum": 0.5, "ema_decay": {"low": 0.0, "high": 0.99}}


def cohort_of(study, decays=DECAYS):
    values = {"lr": 0.1, "momentum": 0.5}
    points = tuple(
        Point(trial=i, seed=100 + i, values=values | {"ema_decay": decay})
        for i, decay in enumerate(decays)
    )
    return Cohort(batch_size=study.batch_sizes[0], points=points)


@pytest.fixture
def averaging(make_study):
    """Return a function that makes a study of which the target counts on averages."""

    def make(weights="averaged", **changes):
        race = {"weights": weights} | changes.pop("race", {})
        return make_study(search={"space": SPACE}, race=race, **changes)

    return make


COMPUTED = {
    "packed": ("plain", {}),
    "several packs": ("plain", {"compute": {"pack": {"lanes": 2}}}),
    "micro-batches": ("plain", {"compute": {"micro_batch": 3}}),
    "looped": ("plain", {"compute": {"mode": "looped"}}),
    "federated": ("plain", {"federated": {"clients": 2, "local_steps": 2, "shards": "iid"}}),
}


@pytest.mark.parametrize(("kind", "changes"), COMPUTED.values(), ids=COMPUTED)
def test_the_exact_average_is_measured(shared_training, averaging, kind, changes):
    study, made = averaging(**changes), shared_training(kind)
    lanes = build_lanes(study, made, cohort_of(study))
    means = lanes.parameters.double()
    decays = torch.tensor(DECAYS, dtype=torch.float64).unsqueeze(1)
    for _ in range(7):
        lanes.advance(1)
        means = decays * means + (1 - decays) * lanes.parameters.double()
    trained = lanes.parameters.clone()
    losses = lanes.measure()[0]
    raw = lanes.occasional_quantities(np.ones(3, dtype=bool))[RAW_ERROR]
    assert torch.equal(lanes.parameters, trained)
    model = fresh_model(made, 0).eval()
    for lane in range(3):
        for weights, expected in ((means, losses), (trained, None)):
            model.load_state_dict(Layout(model).unflatten(weights[lane].float()))
            with torch.no_grad():
                loss, error = made.measured(model, made.data.validation)
            if expected is None:
                assert raw[lane] == pytest.approx(float(error))
            else:
                assert expected[lane] == pytest.approx(float(loss), rel=1e-4)


@pytest.mark.parametrize("mode", ["packed", "looped"])
@pytest.mark.parametrize("weights", ["averaged", "raw"])
def test_the_average_of_the_optimizer_is_measured(shared_training, make_study, mode, weights):
    """Without interpolation the average is the mean of all weights after the first step."""
    space, race = {"lr": 0.1, "interpolation": 0.0}, {"weights": weights}
    study = make_study(compute={"mode": mode}, search={"space": space}, race=race, **OWN)
    made = shared_training("plain")
    points = (Point(trial=0, seed=100, values=space), Point(trial=1, seed=101, values=space))
    lanes = build_lanes(study, made, Cohort(batch_size=study.batch_sizes[0], points=points))
    passed = []
    for _ in range(5):
        lanes.advance(1)
        passed.append(lanes.parameters.double())
    means = torch.stack(passed).mean(0)
    lanes.keep(np.array([False, True]))
    (parameters, _), losses = lanes.measured_weights(0), lanes.measure()[0]
    expected = means if weights == "averaged" else passed[-1]
    torch.testing.assert_close(parameters.double(), expected[1], rtol=1e-4, atol=1e-6)
    other = AVERAGED_ERROR if weights == "raw" else RAW_ERROR
    assert lanes.occasional_quantities(np.ones(1, dtype=bool)).keys() >= {other}
    torch.testing.assert_close(lanes.parameters[0].double(), passed[-1][1])
    model = fresh_model(made, 0).eval()
    model.load_state_dict(Layout(model).unflatten(parameters))
    with torch.no_grad():
        assert losses[0] == pytest.approx(
            float(made.measured(model, made.data.validation)[0]), rel=1e-4
        )


@pytest.mark.parametrize("mode", ["packed", "looped"])
def test_the_average_of_a_tail_counts_late_weights_by_a_power_of_their_step(
    shared_training, make_study, mode
):
    """Shamir & Zhang 2013, section 4: a_t = (1 - (e + 1)/(t + e)) a_(t-1) + (e + 1)/(t + e) w_t."""
    shares = {"low": 0.1, "high": 1.0}
    space = {"lr": 0.1, "momentum": 0.5, "tail_average": shares}
    made, race = shared_training("plain"), {"weights": "averaged"}
    study = make_study(search={"space": space}, race=race, compute={"mode": mode})
    tails = (0.0, 0.5, 1.0)
    points = [
        replace(point, values={"lr": 0.1, "momentum": 0.5, "tail_average": tail})
        for point, tail in zip(cohort_of(study).points, tails, strict=True)
    ]
    lanes = build_lanes(study, made, Cohort(batch_size=study.batch_sizes[0], points=tuple(points)))
    weights = []
    for _ in range(9):
        lanes.advance(1)
        weights.append(lanes.parameters.double())
    mean = weights[0][1]
    for step, now in enumerate(weights[1:], start=2):
        mean = mean + (2 + 1) / (step + 2) * (now[1] - mean)  # e = 2 / 0.5 - 2
    expected = [weights[-1][0], mean, torch.stack(weights).mean(0)[2]]
    model = fresh_model(made, 0).eval()
    for _ in range(3):
        for loss, tail in zip(lanes.measure()[0], expected, strict=True):
            model.load_state_dict(Layout(model).unflatten(tail.float()))
            with torch.no_grad():
                own = made.measured(model, made.data.validation)[0]
            assert loss == pytest.approx(float(own), rel=1e-4)
        lanes.keep(np.arange(len(expected)) > 0)
        expected = expected[1:]


@pytest.mark.parametrize("mode", ["packed", "looped"])
def test_batch_statistics_are_averaged_with_the_weights(shared_training, averaging, mode):
    study, made = averaging(compute={"mode": mode}), shared_training("batch norm")
    lanes = build_lanes(study, made, cohort_of(study, decays=(0.5,)))
    network, averages = lanes._packs[0]._networks, lanes._packs[0]._averages
    means = [buffer.double() for buffer in network.statistics]
    assert [mean.shape for mean in means] == [(1, 8), (1, 8)]
    for _ in range(5):
        lanes.advance(1)
        means = [0.5 * m + 0.5 * b for m, b in zip(means, network.statistics, strict=True)]
    with averages.in_place():
        for mean, buffer in zip(means, network.statistics, strict=True):
            torch.testing.assert_close(buffer.double(), mean, rtol=1e-5, atol=1e-6)


def test_training_never_sees_an_average(shared_training, make_study):
    made, plain = shared_training("plain"), make_study()
    values = {"ema_decay": 0.9}
    beside = make_study(search={"space": plain.search.space | values})
    cohort = cohort_of(plain, decays=(0.9, 0.9))
    with_average = run_cohort(beside, made, cohort)
    for one, other in zip(with_average, run_cohort(plain, made, cohort), strict=True):
        assert one.outcome == other.outcome
        averaged = one.curve.further[AVERAGED_ERROR]
        known = np.flatnonzero(np.isfinite(averaged))
        reached = [] if one.outcome.steps is None else [len(averaged) - 1]
        assert known.tolist() == sorted(
            {*range(0, len(averaged), OTHER_WEIGHTS_INTERVAL), *reached}
        )
        assert same_curve(
            one.curve.until(len(averaged)),
            type(one.curve).of(
                {n: other.curve.column(n) for n in ("step", "train_loss", "val_loss")}
                | {"val_error": other.curve.val_error, "seconds": other.curve.seconds}
                | {AVERAGED_ERROR: averaged}
            ),
        )


def test_a_decay_of_zero_is_the_weights_themselves(shared_training, averaging):
    study, made = averaging(), shared_training("plain")
    own = run_cohort(study, made, cohort_of(study, decays=(0.0,)))[0].curve
    raw = own.further[RAW_ERROR]
    known = np.isfinite(raw)
    assert known.any()
    np.testing.assert_array_equal(raw[known], own.val_error[known])


FAULTS = {
    "no decay": ({"race": {"weights": "averaged"}}, "needs an average, got none; add"),
    "a decay of 0": (
        {"race": {"weights": "averaged"}, "search": {"space": {"ema_decay": 0.0}}},
        "needs an average, got ema_decay = 0; add",
    ),
    "an idle search": (
        {"search": {"space": {"ema_decay": {"low": 0.5, "high": 0.9}}}},
        "must be a number where the target refers to raw weights",
    ),
    "a decay of 1": ({"search": {"space": {"ema_decay": 1.0}}}, r"must lie in \[0, 1\)"),
    "a second average": (
        OWN | {"search": {"space": {"ema_half_life": 100.0}}},
        "ema_half_life must be left out for the optimizer schedule-free-sgd, .*got 100",
    ),
    "an average of clients": (
        OWN | {"federated": {"clients": 2, "local_steps": 2, "shards": "iid"}},
        "federated must be left out for the optimizer schedule-free-sgd",
    ),
    "batch statistics of other weights": (
        OWN | {"workload": f"{BLOBS}:BatchNormBlobs"},
        "schedule-free-sgd needs a model in which training changes only parameters",
    ),
    "a share above 1": ({"search": {"space": {"tail_average": 1.1}}}, r"must lie in \[0, 1\]"),
    "two kinds": (
        {"search": {"space": {"ema_decay": 0.9, "tail_average": 0.5}}},
        "must have at most one average of the weights, got ema_decay and tail_average",
    ),
    "a typo": ({"race": {"weights": "ema"}}, "race.weights"),
}


@pytest.mark.parametrize(("changes", "match"), FAULTS.values(), ids=FAULTS)
def test_faulty_averaging_is_refused(changes, match):
    with pytest.raises(StudyError, match=match):
        resolve({"workload": f"{BLOBS}:Blobs", "batch_sizes": [4], **changes})


def test_the_study_records_the_other_weights_too():
    decay = {"search": {"space": {"ema_decay": 0.9}}}
    study = {"workload": f"{BLOBS}:MeasuredBlobs", "batch_sizes": [4], **decay}
    own = ("accuracy", "surely wrong")
    assert resolve(study)[0].further == (*own, AVERAGED_ERROR, "test_error")
    averaged = resolve(study | {"race": {"weights": "averaged"}})[0]
    assert averaged.further == (*own, RAW_ERROR, "test_error")
    raw = resolve(study | {"race": {"weights": "raw"}})[0]
    assert raw.digest() == resolve(study)[0].digest()
    of_optimizer = {"workload": study["workload"], "batch_sizes": [4], **OWN}
    own_average = resolve(of_optimizer)[0]
    assert (own_average.race.weights, own_average.further[-2]) == ("averaged", RAW_ERROR)
    own_raw = resolve(of_optimizer | {"race": {"weights": "raw"}})[0]
    assert (own_raw.race.weights, own_raw.further[-2]) == ("raw", AVERAGED_ERROR)
    assert resolve(own_raw.as_data())[0].digest() == own_raw.digest()
    off = resolve(study | {"search": {"space": {"ema_decay": 0.0}}})[0]
    assert off.further == (*own, "test_error")
