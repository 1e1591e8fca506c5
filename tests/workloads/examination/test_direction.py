"""A score in place of an error is refused, and no error is taken for one."""

import pytest
import torch
from torch import nn

from tests import strange
from tests.blobs import BatchNormBlobs, Blobs, DropoutBlobs
from workloads import Target
from workloads.errors import WorkloadError
from workloads.examination.direction import refuse_rising
from workloads.examination.samples import few


class ScoreFromZero(Blobs):
    """A score that is exactly 0 before training."""

    target = Target(0.5, "loss")

    def model(self):
        model = super().model()
        for parameter in list(model.parameters())[-2:]:
            nn.init.zeros_(parameter)
        return model

    def error(self, model, data):
        return model(data.inputs).gather(-1, data.targets[:, None]).mean()


class Undefined(Blobs):
    """An error that is not a number after training."""

    def error(self, model, data):
        wrong = super().error(model, data)
        return torch.where(wrong < 0.2, torch.nan, wrong)


def judged(workload):
    def make(seed):
        torch.manual_seed(seed)
        return workload.model()

    refuse_rising(workload, make, few(workload.data().train))


@pytest.mark.parametrize("workload", [strange.Accuracy, strange.LogLikelihood, ScoreFromZero])
def test_a_score_that_rises_is_refused(workload):
    with pytest.raises(WorkloadError, match="lower must be better, .* rises from .* 1 - accuracy"):
        judged(workload())


@pytest.mark.parametrize(
    "workload", [Blobs, BatchNormBlobs, DropoutBlobs, Undefined, strange.WholeRootMeanSquare]
)
def test_an_error_is_not_refused(workload):
    state = torch.get_rng_state()
    judged(workload())
    torch.set_rng_state(state)
