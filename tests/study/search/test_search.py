import numpy as np
import optuna
import pytest

from study.records import Curve, Outcome, Point, Status, TrialResult
from study.search.journal import Journal
from study.search.queue import CohortQueue
from study.search.samplers import SAMPLERS
from study.search.search import Search

FIXED = [name for name, sampler in SAMPLERS.items() if sampler.points]
ADAPTIVE = [name for name, sampler in SAMPLERS.items() if sampler.adaptive]


def finished(values, trials, steps, size=4):
    """Return a finished cohort; a trial without steps diverged."""
    return [
        TrialResult(
            batch_size=size,
            cohort=trials[0],
            point=Point(trial=trial, seed=0, values=value),
            curve=Curve.empty(),
            outcome=Outcome(
                status=Status.REACHED if step else Status.DIVERGED,
                steps=step,
                steps_before=step and step - 1,
                stopped_at=step or 3,
                best_error=0.05 if step else None,
            ),
            seconds=0.0,
        )
        for value, trial, step in zip(values, trials, steps, strict=True)
    ]


@pytest.mark.parametrize("sampler", FIXED)
@pytest.mark.parametrize("dimensions", [1, 2, 4])
def test_fewer_points_are_the_first_of_more(sampler, dimensions):
    points = SAMPLERS[sampler].points
    few, many = points(dimensions, 5, 3), points(dimensions, 40, 3)
    np.testing.assert_array_equal(few, many[:5])
    assert ((many >= 0) & (many <= 1)).all()
    assert not np.array_equal(few, points(dimensions, 5, 4))


@pytest.mark.parametrize("sampler", FIXED)
def test_a_trials_point_depends_on_nothing_but_its_number(sampler, make_study):
    study = make_study(search={"sampler": sampler, "trials": 12})
    whole = Search(study, 4).propose(range(12))
    pieces = Search(study, 4)
    assert pieces.propose(range(8, 12)) == whole[8:]
    assert pieces.propose(range(4)) == whole[:4]
    assert Search(study, 16).propose(range(4)) != whole[:4]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_points_lie_in_the_box_and_keep_fixed_values(sampler, make_study):
    space = {"lr": {"low": 0.01, "high": 0.1, "scale": "log"}, "momentum": 0.9}
    study = make_study(search={"sampler": sampler, "space": space})
    for point in Search(study, 4).propose(range(10)):
        assert 0.01 <= point["lr"] <= 0.1
        assert point["momentum"] == 0.9


def test_reverse_log_spreads_one_minus_the_value_evenly(make_study):
    study = make_study(search={"trials": 256})
    momentum = np.array([p["momentum"] for p in Search(study, 4).propose(range(256))])
    decades = np.log(1 - momentum) / np.log(0.01)
    assert np.histogram(decades, bins=4, range=(0, 1))[0] == pytest.approx([64] * 4, abs=4)


@pytest.mark.parametrize("sampler", ADAPTIVE)
def test_an_adaptive_search_rebuilt_from_results_goes_on_as_if_never_stopped(sampler, make_study):
    study = make_study(search={"sampler": sampler, "trials": 24})
    live = Search(study, 4)
    rounds = []
    for start in (0, 8):
        trials = range(start, start + 8)
        values = live.propose(trials)
        steps = [int(100 / v["lr"]) if v["lr"] > 0.01 else None for v in values]
        rounds.append(finished(values, trials, steps))
        live.learn(rounds[-1])
    rebuilt = Search(study, 4)
    for results in rounds:
        rebuilt.learn(results)
    assert rebuilt.propose(range(16, 24)) == live.propose(range(16, 24))


@pytest.mark.parametrize("sampler", ADAPTIVE)
def test_an_adaptive_search_learns_where_trials_reach_the_target(sampler, make_study):
    study = make_study(search={"sampler": sampler, "trials": 48})
    search = Search(study, 4)
    for start in range(0, 40, 8):
        trials = range(start, start + 8)
        values = search.propose(trials)
        search.learn(finished(values, trials, [int(100 / v["lr"]) for v in values]))
    learned = [v["lr"] for v in search.propose(range(40, 48))]
    first = [v["lr"] for v in Search(study, 4).propose(range(8))]
    assert np.median(learned) > 3 * np.median(first)


def test_the_journal_opens_in_optuna_with_finite_objectives(tmp_path, make_study):
    study = make_study()
    search = Search(study, 4)
    values = search.propose(range(3))
    journal = Journal(tmp_path / "optuna.log")
    journal.add(search, finished(values, range(3), [50, None, 60]))
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "optuna.log"))
    )
    read = optuna.load_study(study_name="batch size 4", storage=storage)
    assert read.best_value == 50
    assert [t.user_attrs["status"] for t in read.trials] == ["reached", "diverged", "reached"]
    assert all(np.isfinite(t.value) for t in read.trials)
    assert read.trials[0].params["1 - momentum"] == pytest.approx(1 - values[0]["momentum"])


@pytest.mark.parametrize("left", ['{"op_code": 0, "worker_id": "x', ""])
def test_a_journal_that_was_cut_off_and_its_lock_are_replaced(make_study, tmp_path, left):
    path = tmp_path / "optuna.log"
    path.write_text(left)
    path.with_name("optuna.log.lock").symlink_to(path)
    search = Search(make_study(), 4)
    values = search.propose(range(2))
    Journal(path).add(search, finished(values, range(2), [50, None]))
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    (read,) = optuna.get_all_study_summaries(optuna.storages.JournalStorage(backend))
    assert (read.study_name, read.n_trials) == ("batch size 4", 2)


def test_a_journal_grows_by_a_line_for_each_trial_and_each_study(tmp_path, make_study):
    study, path = make_study(), tmp_path / "optuna.log"
    searches, journal = {size: Search(study, size) for size in (4, 16)}, Journal(path)
    for size in (4, 16, 4, 16, 4):
        values = searches[size].propose(range(3))
        journal.add(searches[size], finished(values, range(3), [50, None, 60], size))
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    storage = optuna.storages.JournalStorage(backend)
    counts = {s.study_name: s.n_trials for s in optuna.get_all_study_summaries(storage)}
    assert counts == {"batch size 4": 9, "batch size 16": 6}
    assert len(path.read_text().splitlines()) == 15 + 2
    again = Journal(path, 15)
    assert again.whole
    again.add(searches[16], finished(searches[16].propose(range(3)), range(3), [9, 9, 9], 16))
    assert len(path.read_text().splitlines()) == 18 + 2
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    counts = {s.study_name: s.n_trials for s in optuna.get_all_study_summaries(storage)}
    assert counts == {"batch size 4": 9, "batch size 16": 9}
    assert list(tmp_path.iterdir()) == [path]
    whole = path.read_bytes()
    assert not Journal(path, 17).whole
    for flipped in (b'"study_nbme"', b'"study_name!'):
        path.write_bytes(whole.replace(b'"study_name"', flipped, 1))
        assert not Journal(path, 18).whole
    assert not path.exists()


def test_the_queue_lets_the_first_cohort_set_the_cap_for_the_rest(make_study):
    queue = CohortQueue(make_study(search={"trials": 10}, batch_sizes=[4]), [])
    first = queue.take()
    assert [p.trial for p in first.points] == [0, 1, 2, 3]
    assert queue.take() is None
    values = [p.values for p in first.points]
    queue.finish(finished(values, range(4), [70, None, 50, None]))
    second, third = queue.take(), queue.take()
    assert [c.number for c in (second, third)] == [4, 8]
    assert [c.best_steps for c in (second, third)] == [50, 50]
    assert queue.take() is None


def test_an_adaptive_queue_runs_one_cohort_per_batch_size_at_a_time(make_study):
    queue = CohortQueue(make_study(search={"trials": 8, "sampler": "tpe"}), [])
    first, other = queue.take(), queue.take()
    assert {first.batch_size, other.batch_size} == {4, 16}
    assert queue.take() is None
    values = [p.values for p in first.points]
    queue.finish(finished(values, range(4), [9, 8, 7, 6], size=first.batch_size))
    again = queue.take()
    assert (again.batch_size, again.number, again.best_steps) == (first.batch_size, 4, 6)


@pytest.mark.parametrize("sampler", ["halton", "tpe"])
def test_a_resumed_queue_plans_what_is_missing_and_no_more(make_study, sampler):
    study = make_study(search={"trials": 10, "sampler": sampler}, batch_sizes=[4])
    undisturbed = CohortQueue(study, [])
    first = undisturbed.take()
    results = finished([p.values for p in first.points], range(4), [70, None, 50, None])
    undisturbed.finish(results)
    resumed = CohortQueue(study, results)
    assert resumed.take() == undisturbed.take()
    extended = CohortQueue(make_study(search={"trials": 14, "sampler": sampler}), results)
    assert extended.standings()[0].waiting == 10


def test_nothing_waits_for_a_cohort_that_was_lost(make_study):
    queue = CohortQueue(make_study(search={"trials": 10}, batch_sizes=[4]), [])
    first = queue.take()
    queue.lose(first)
    assert queue.empty
