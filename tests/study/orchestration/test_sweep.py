"""A sweep continues only with the workload that its folder was made with."""

from dataclasses import replace

import pytest

from analysis.tables.folder import ResultsFolder
from study.engine.checkpoints import CHECKPOINTS
from study.engine.fingerprint import fingerprint
from study.errors import StudyError
from study.orchestration.sweep import Sweep
from study.storage import provenance


@pytest.fixture
def resume(tmp_path, make_study, shared_training):
    """Return a function that continues a sweep of the blobs with another workload."""
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


def test_the_same_workload_continues(resume, shared_training):
    assert resume(shared_training()).progress.recorded == 0


def test_another_model_is_refused(resume, shared_training):
    with pytest.raises(StudyError, match="number of parameters 67, recorded with 51; .* undo"):
        resume(shared_training("batch norm"))


def test_one_other_label_is_refused(resume, shared_training):
    with pytest.raises(StudyError, match="got other validation data; undo"):
        resume(_relabeled(shared_training()))


def test_data_that_another_machine_may_have_rounded_are_not_refused(
    resume, shared_training, monkeypatch
):
    monkeypatch.setattr(provenance, "differences", lambda folder: ["numpy 2.0, recorded with 1.9"])
    resume(_relabeled(shared_training()))
