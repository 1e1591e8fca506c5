"""A score in place of an error is refused, and no error is taken for one."""

import pytest
import torch

from tests import strange
from tests.blobs import BatchNormBlobs, Blobs, DropoutBlobs
from workloads.errors import WorkloadError
from workloads.examination.direction import refuse_rising
from workloads.examination.samples import few


def judged(workload):
    def make(seed):
        torch.manual_seed(seed)
        return workload.model()

    refuse_rising(workload, make, few(workload.data().train))


@pytest.mark.parametrize("workload", [strange.Accuracy, strange.LogLikelihood])
def test_a_score_that_rises_is_refused(workload):
    with pytest.raises(WorkloadError, match="lower must be better, .* rises from .* 1 - accuracy"):
        judged(workload())


@pytest.mark.parametrize(
    "workload", [Blobs, BatchNormBlobs, DropoutBlobs, strange.WholeRootMeanSquare]
)
def test_an_error_is_not_refused(workload):
    state = torch.get_rng_state()
    judged(workload())
    torch.set_rng_state(state)
