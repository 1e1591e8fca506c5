"""A race resumed from a checkpoint equals an uninterrupted one, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.tables.folder import ResultsFolder
from study.config.sections import LaneLimit
from study.config.space import Range
from study.engine.checkpoints import CHECKPOINTS, Checkpoint, SavedError
from study.engine.cohort import run_cohort
from study.engine.networks.training import load
from study.optimizers import OPTIMIZERS
from study.records import Cohort, Point
from study.replay.trial import same_curve
from tests import strange

LRS = [1.0, 0.1, 3e38, 1e-4, 1e-6]


class Killed(BaseException):
    """An exception that no code catches."""


class Dying(Checkpoint):
    """A checkpoint written at every measurement, whose process dies at the 17th."""

    writes = 0

    @property
    def due(self):
        return True

    def write(self, state):
        super().write(state)
        self.writes += 1
        if self.writes == 17:
            raise Killed


@pytest.fixture
def place(tmp_path):
    return ResultsFolder.at(tmp_path)


def cohort_of(study, lrs=LRS):
    """Return trials with different learning rates and all else in the middle of its range."""
    space = study.search.space
    middle = {n: e.at(0.5) if isinstance(e, Range) else e for n, e in space.items()}
    points = tuple(
        Point(trial=i, seed=100 + i, values=middle | {"lr": lr}) for i, lr in enumerate(lrs)
    )
    return Cohort(batch_size=4, points=points, expected_steps=20)


def checkpoint_of(folder, study, cohort, kind=Checkpoint, device="cpu"):
    return kind(folder, "b00004-c000", study, cohort, device)


def killed(folder, study, made, cohort):
    """Train until the process dies."""
    with pytest.raises(Killed):
        run_cohort(study, made, cohort, checkpoint_of(folder, study, cohort, Dying))


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert (one.outcome, one.execution) == (other.outcome, other.execution)
        assert same_curve(one.curve, other.curve)
        assert (np.diff(one.curve.seconds) > 0).all()


def space_of(optimizer, **named):
    return {n: entry.default for n, entry in OPTIMIZERS[optimizer].hyperparameters.items()} | named


RANGE = {"low": 0.0, "high": 1.0}
CASES = {
    "packed": ("plain", {}),
    "all options of a step": (
        "smoothed",
        {
            "schedule": {"name": "cosine"},
            "space": {
                "decay_fraction": 0.5,
                "end_factor": 0.1,
                "warmup_steps": 40.0,
                "clip_norm": 0.5,
                "label_smoothing": RANGE,
            },
        },
    ),
    "several packs": ("plain", {"optimizer": "adam", "pack": 2}),
    "micro-batches": ("plain", {"optimizer": "lars", "micro_batch": 3}),
    "looped": ("plain", {"optimizer": "lamb", "mode": "looped"}),
    "batch norm": ("batch norm", {"optimizer": "heavy-ball", "pack": 3}),
    "dropout": ("dropout", {"mode": "looped", "to": "budget"}),
    "dropout in packs": ("dropout", {"pack": 3, "to": "budget"}),
    "bases of gradients": ("plain", {"optimizer": "soap", "pack": 3}),
    "schedule-free": ("plain", {"optimizer": "schedule-free-adamw", "weights": "averaged"}),
    "to the budget": ("plain", {"optimizer": "sgd", "to": "budget"}),
    "measured": ("measured", {"to": "budget"}),
    "averaged": ("plain", {"space": {"ema_decay": 0.9}, "weights": "averaged", "pack": 2}),
    "tail average": ("plain", {"space": {"tail_average": 0.5}, "weights": "averaged", "pack": 2}),
    "averaged batch norm": ("batch norm", {"space": {"ema_decay": 0.9}, "weights": "averaged"}),
    "pruned": ("plain", {"prune": [0.25], "target": 1e-9}),
}


@pytest.fixture
def make_slow(make_study):
    """Return a function that makes a study whose lanes race on after the first success."""

    def make(optimizer="nesterov", pack=5, micro_batch="auto", space=None, schedule=None, **race):
        minutes, mode = race.pop("checkpoint_minutes", 5.0), race.pop("mode", "packed")
        compute = {"pack": {"lanes": pack}, "micro_batch": micro_batch}
        return make_study(
            optimizer=optimizer,
            search={"space": space_of(optimizer, **(space or {}))},
            race={"max_steps": 60, "slack": 50.0, **race},
            compute=compute | {"checkpoint_minutes": minutes, "mode": mode},
            schedule=schedule or {"name": "constant"},
        )

    return make


@pytest.mark.parametrize("case", CASES)
def test_a_race_resumes_bit_for_bit(training, make_slow, place, case):
    kind, changes = CASES[case]
    study, made = make_slow(**changes), training(kind)
    cohort = cohort_of(study)
    uninterrupted = run_cohort(study, made, cohort)
    killed(place, study, made, cohort)
    checkpoint = checkpoint_of(place, study, cohort)
    resumed = run_cohort(study, made, cohort, checkpoint)
    assert [note.partition(".pt ")[2] for note in checkpoint.notes] == ["resumed at step 16"]
    assert_same(resumed, uninterrupted)
    checkpoint.remove()
    assert place.names(CHECKPOINTS) == []


def test_draws_from_numpy_and_python_resume_bit_for_bit(make_slow, place):
    class Noisy(strange.NumpyNoise, strange.PythonNoise):
        def factor(self, x):
            return strange.NumpyNoise.factor(self, x) + strange.PythonNoise.factor(self, x)

    made, study = load(strange.blobs_of(Noisy)(), torch.device("cpu")), make_slow(mode="looped")
    cohort = cohort_of(study)
    uninterrupted = run_cohort(study, made, cohort)
    killed(place, study, made, cohort)
    checkpoint = checkpoint_of(place, study, cohort)
    assert_same(run_cohort(study, made, cohort, checkpoint), uninterrupted)
    assert checkpoint.notes


def test_python_state_is_never_resumed_without(make_slow, place):
    made = load(strange.blobs_of(strange.Counting)(), torch.device("cpu"))
    study = make_slow(mode="looped")
    cohort = cohort_of(study)
    checkpoint = checkpoint_of(place, study, cohort, Dying)
    trained = run_cohort(study, made, cohort, checkpoint)  # it would die at the 17th write
    assert place.names(CHECKPOINTS) == []
    assert_same(trained, run_cohort(study, made, cohort))


def test_the_state_has_only_the_compacted_lanes(training, make_slow, place):
    study, made = make_slow(), training()
    cohort = cohort_of(study)
    killed(place, study, made, cohort)
    state = checkpoint_of(place, study, cohort).read()
    (pack,) = state["lanes"]["packs"]
    assert state["race"]["racing"] == [3, 4]
    assert (pack["computed"], pack["live"]) == ([3, 4], [0, 1])


def corrupted(content):
    return {
        "truncated": content[: len(content) // 2],
        "empty": b"",
        "foreign": b"\x80\x04K\x01." * 200,
        "one bit": content[:-300] + bytes([content[-300] ^ 1]) + content[-299:],
        "another format": content.replace(b'"format": 4', b'"format": 1', 1),
    }


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("truncated", "it is incomplete or corrupt"),
        ("empty", "batchscale did not write it"),
        ("foreign", "batchscale did not write it"),
        ("one bit", "it is incomplete or corrupt"),
        ("another format", "it must have format 4, got 1"),
    ],
)
def test_a_corrupt_checkpoint_is_ignored(training, make_slow, place, monkeypatch, damage, reason):
    monkeypatch.setattr(torch, "load", None)  # never reached
    study = make_slow()
    cohort = cohort_of(study)
    checkpoint = checkpoint_of(place, study, cohort)
    checkpoint.write({"race": {}})
    name = f"{CHECKPOINTS}/b00004-c000.pt"
    place.write(name, corrupted(place.read(name))[damage])
    assert checkpoint.read() is None
    (note,) = checkpoint.notes
    assert note.endswith(
        f"b00004-c000.pt was ignored and its cohort trained from the start: {reason}"
    )


def others(study, cohort):
    return {
        "study": (study.model_copy(update={"seed": 1}), cohort),
        "points": (study, replace(cohort, points=cohort.points[:4])),
        "fewest steps": (study, replace(cohort, best_steps=7)),
        "pack": (
            study.model_copy(
                update={"compute": study.compute.model_copy(update={"pack": LaneLimit(lanes=2)})}
            ),
            cohort,
        ),
    }


@pytest.mark.parametrize("other", ["study", "points", "fewest steps", "pack"])
def test_a_checkpoint_of_something_else_is_ignored(make_slow, place, other):
    study = make_slow()
    cohort = cohort_of(study)
    checkpoint_of(place, study, cohort).write({"race": {}})
    assert checkpoint_of(place, study, cohort).read() == {"race": {}}
    different = checkpoint_of(place, *others(study, cohort)[other])
    assert different.read() is None
    assert "it belongs to another study or cohort" in different.notes[0]


def test_code_in_a_checkpoint_is_never_run(make_slow, place, tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    study = make_slow()
    cohort = cohort_of(study)
    checkpoint = checkpoint_of(place, study, cohort)
    checkpoint.write({"race": Evil()})
    assert checkpoint.read() is None
    assert "Weights only load failed" in checkpoint.notes[0]
    assert not (tmp_path / "ran").exists()


def test_lanes_of_another_shape_train_from_the_start(training, make_slow, place):
    study = make_slow(mode="looped", optimizer="sgd")
    cohort = cohort_of(study, [0.3, 1e-6])
    made, wider = training(), training()
    killed(place, study, made, cohort)
    wider.workload.model = lambda: torch.nn.Linear(2, 3)
    checkpoint = checkpoint_of(place, study, cohort)
    ours = run_cohort(study, wider, cohort, checkpoint)
    assert "values must have shape (1, 9), got (1, 51)" in checkpoint.notes[0]
    assert_same(ours, run_cohort(study, wider, cohort))


def test_a_folder_that_cannot_be_written_does_not_end_the_race(training, make_slow, tmp_path):
    (tmp_path / "file").write_text("in the way")
    study, made = make_slow(mode="looped", max_steps=5, checkpoint_minutes=1e-9), training()
    cohort = cohort_of(study, [1e-6])
    checkpoint = checkpoint_of(ResultsFolder.at(tmp_path / "file"), study, cohort)
    (result,) = run_cohort(study, made, cohort, checkpoint)
    assert result.outcome.stopped_at == 5
    assert "could not be written" in checkpoint.notes[0]


@pytest.mark.parametrize("kind", ["plain", "dropout", "batch norm"])
def test_a_race_that_is_stopped_is_saved_and_resumed(training, make_slow, place, kind):
    study, made = make_slow(mode="looped", max_steps=40), training(kind)
    cohort, asked = cohort_of(study), iter([False] * 9)
    stopped = checkpoint_of(place, study, cohort)
    stopped.stopping = lambda: next(asked, True)
    with pytest.raises(SavedError):
        run_cohort(study, made, cohort, stopped)
    assert "was written at step" in stopped.notes[0]
    resumed = checkpoint_of(place, study, cohort)
    assert_same(run_cohort(study, made, cohort, resumed), run_cohort(study, made, cohort))
    assert "resumed at step" in resumed.notes[0]


def test_a_study_without_checkpoints_is_not_saved_at_a_stop(training, make_slow, place):
    study, made = make_slow(mode="looped", max_steps=5, checkpoint_minutes=0.0), training()
    cohort = cohort_of(study, [1e-6])
    checkpoint = checkpoint_of(place, study, cohort)
    checkpoint.stopping = lambda: True
    (result,) = run_cohort(study, made, cohort, checkpoint)
    assert result.outcome.stopped_at == 5
    assert not place.names(CHECKPOINTS)


@pytest.mark.parametrize(("minutes", "due"), [(0.0, False), (1e-9, True), (5.0, False)])
def test_it_is_due_after_the_given_minutes(make_study, place, minutes, due):
    study = make_study(compute={"checkpoint_minutes": minutes})
    assert checkpoint_of(place, study, cohort_of(study)).due is due
