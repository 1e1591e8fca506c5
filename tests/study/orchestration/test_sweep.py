"""A sweep goes on only with the workload that its folder was made with."""

from dataclasses import replace

import pytest

from analysis.tables.folder import ResultsFolder
from study.engine.checkpoints import CHECKPOINTS
from study.engine.fingerprint import fingerprint
from study.errors import StudyError
from study.orchestration.sweep import Sweep
from study.storage import provenance


@pytest.fixture
def go_on(tmp_path, make_study, shared_training):
    """Return a function that goes on with a begun sweep of the blobs by another workload."""
    folder = ResultsFolder.at(tmp_path)
    provenance.record_start(folder, {}, {"workload": fingerprint(shared_training())})
    folder.write(f"{CHECKPOINTS}/one.pt", b"")
    return lambda other: Sweep(folder, make_study(), other)


def _relabeled(loaded):
    """Return the blobs with another label for one example that is not among the first few."""
    labels = loaded.data.validation.targets.clone()
    labels[1] = (labels[1] + 1) % 3
    validation = loaded.data.validation._replace(targets=labels)
    return replace(loaded, data=replace(loaded.data, validation=validation))


def test_the_same_workload_continues(go_on, shared_training):
    assert go_on(shared_training()).progress.recorded == 0


def test_another_model_is_refused(go_on, shared_training):
    with pytest.raises(StudyError, match="number of parameters 67, recorded with 51; .* undo"):
        go_on(shared_training("batch norm"))


def test_one_other_label_is_refused(go_on, shared_training):
    with pytest.raises(StudyError, match="got other validation data; undo"):
        go_on(_relabeled(shared_training()))


def test_data_that_another_machine_may_have_rounded_are_not_refused(
    go_on, shared_training, monkeypatch
):
    monkeypatch.setattr(provenance, "differences", lambda folder: ["numpy 2.0, recorded with 1.9"])
    go_on(_relabeled(shared_training()))
