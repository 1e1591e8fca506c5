"""An exception or a lack of memory fails its own trial and no other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.tables.folder import ResultsFolder
from study.engine.checkpoints import CHECKPOINTS, Checkpoint
from study.engine.cohort import run_cohort
from study.engine.networks.packed import PackedNetworks
from study.records import Status
from tests.study.cohorts import cohort_of

LRS = [0.3, 3e38, 0.1, 0.03, 0.01]
"""The second one is far out after its first step."""


class Raising:
    """A workload whose loss or error raises once a model is far out.

    Not where it is no longer finite: how the last digits are rounded may decide on that.
    """

    def __init__(self, workload, part):
        self.workload, self.part = workload, part

    def __getattr__(self, name):
        found = getattr(self.workload, name)
        return self.checked(found) if name == self.part else found

    def checked(self, measure):
        def check(model, examples):
            if not (model(examples.inputs).abs() < 1e20).all():
                raise ArithmeticError("far out\nand more")
            return measure(model, examples)

        return check


@pytest.mark.parametrize("part", ["loss", "error"])
def test_a_trial_that_raises_leaves_the_others_unchanged(training, make_study, part):
    study, made = make_study(compute={"mode": "looped"}), training()
    raising = replace(made, workload=Raising(made.workload, part))
    results = run_cohort(study, raising, cohort_of(LRS))
    undisturbed = run_cohort(study, made, cohort_of(LRS))
    failed = [result.outcome.status is Status.FAILED for result in results]
    assert failed == [False, True, False, False, False]
    assert results[1].message == "ArithmeticError: far out\nand more"
    assert results[1].execution is None
    assert {result.cohort for result in results} == {0}
    for ours, theirs in zip(results, undisturbed, strict=True):
        if ours is not results[1]:
            assert ours.outcome == theirs.outcome
            np.testing.assert_array_equal(ours.curve.val_loss, theirs.curve.val_loss)


@pytest.mark.parametrize("holds", [2, 0])
def test_a_cohort_that_exceeds_memory_trains_in_halves(training, make_study, monkeypatch, holds):
    class Networks(PackedNetworks):
        def __init__(self, training, seeds, values):
            if len(seeds) > holds:
                raise torch.OutOfMemoryError(f"out of memory: {len(seeds)} models")
            super().__init__(training, seeds, values)

    study, made, cohort = make_study(), training(), cohort_of([0.3, 0.1, 0.03, 0.01])
    full = run_cohort(study, made, cohort)
    monkeypatch.setattr("study.engine.cohort._NETWORKS", {"packed": Networks})
    results = run_cohort(study, made, cohort)
    if holds:
        assert [result.outcome for result in results] == [result.outcome for result in full]
        assert {result.execution.pack for result in results} == {holds}
    else:
        assert {result.message for result in results} == {
            "OutOfMemoryError: out of memory: 1 models"
        }


def test_halves_have_checkpoints_of_their_own(training, make_study, tmp_path):
    study = make_study(compute={"mode": "looped", "checkpoint_minutes": 1e-9})
    made, cohort, folder = training(), cohort_of([0.3, 3e38, 0.1]), ResultsFolder.at(tmp_path)
    made = replace(made, workload=Raising(made.workload, "loss"))
    first, second = (Checkpoint(folder, "b00004-c000", study, cohort, "cpu") for _ in range(2))
    results = run_cohort(study, made, cohort, first)
    parts = ("-a", "-b-a", "-b-b", "-b", "")
    assert folder.names(CHECKPOINTS) == [f"{CHECKPOINTS}/b00004-c000{p}.pt" for p in parts]
    again = run_cohort(study, made, cohort, second)
    resumed = [note.partition("b00004-c000")[2].partition(" resumed")[0] for note in second.notes]
    assert resumed == [".pt", "-a.pt", "-b.pt", "-b-a.pt", "-b-b.pt"]
    assert [result.outcome for result in again] == [result.outcome for result in results]
    second.remove()
    assert folder.names(CHECKPOINTS) == []
