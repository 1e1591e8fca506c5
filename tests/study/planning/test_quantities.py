"""Names of measured quantities: recorded in the study, and refused where a column has them."""

import pytest

from study.errors import StudyError
from study.planning.resolve import resolve
from workloads.errors import WorkloadError

PLUGIN = """
import torch
from tests.blobs import MeasuredBlobs


class Mine(MeasuredBlobs):
    def quantities(self, model, data):
        return {returned}
"""
ONE = "torch.ones(())"
FAULTS = {
    "a column": (f"{{'val_loss': {ONE}}}", "unique name, got 'val_loss'"),
    "the test error": (f"{{'test_error': {ONE}}}", "unique name, got 'test_error'"),
    "a hyperparameter": (f"{{'lr': {ONE}}}", "unique name, got 'lr'"),
    "of an export": (f"{{'target': {ONE}}}", "unique name, got 'target'"),
    "a line break": (f"{{'a\\nb': {ONE}}}", "letters, digits and any of"),
    "empty": (f"{{'': {ONE}}}", "letters, digits and any of"),
    "too many": (f"{{f'q{{i}}': {ONE} for i in range(101)}}", "at most 100"),
    "no name": (f"{{1: {ONE}}}", "a scalar tensor for each name"),
    "no tensor": ("{'accuracy': 0.5}", "take the mean, and keep it a tensor"),
    "no mean": (
        "{'squared': model(data.inputs).sum()}",
        "squared must be a mean over the examples",
    ),
    "a list": (f"[{ONE}]", "must return a dict"),
    "infinite": ("{'ratio': torch.ones(()) / 0}", "ratio must be one finite number"),
}


def study_of(tmp_path, returned):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.replace("{returned}", returned))
    return {"workload": f"{path}:Mine", "batch_sizes": [4]}


@pytest.mark.parametrize(("returned", "match"), FAULTS.values(), ids=FAULTS)
def test_faulty_quantities_are_refused(tmp_path, returned, match):
    with pytest.raises((StudyError, WorkloadError), match=match):
        resolve(study_of(tmp_path, returned))


def test_a_recorded_study_must_still_measure_the_same(tmp_path):
    data = study_of(tmp_path, f"{{'accuracy': {ONE}}}")
    resolved, _ = resolve(data)
    assert resolved.further == ("accuracy", "test_error")
    again, _ = resolve(data | {"quantities": ["accuracy", "test_error"]})
    assert again.digest() == resolved.digest()
    with pytest.raises(StudyError, match="quantities follows from the rest of the study"):
        resolve(data | {"quantities": ["accuracy"]})


def test_a_study_without_any_has_no_such_key():
    resolved, _ = resolve({"workload": "noisy-quadratic", "batch_sizes": [4]})
    assert "quantities" not in resolved.as_data()
