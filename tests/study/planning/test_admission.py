"""Admission on workloads that do more than compute: looped, or refused with the member's name."""

import re

import pytest
import torch

from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import load
from study.planning.admission import admit
from tests import strange, strange_losses, strange_parameters
from tests.blobs import BatchNormBlobs, Blobs, DropoutBlobs
from workloads.errors import WorkloadError

CPU = torch.device("cpu")
PACKED = [
    BatchNormBlobs,
    Blobs,
    DropoutBlobs,
    strange.NoDropout,
    strange.Augmented,
    strange.Resetting,
    strange.Penalized,
    strange.Keywords,
    strange.WholeRootMeanSquare,
    strange.Pairwise,
    strange_losses.OneElement,
    strange.blobs_of(strange.Net),
    strange.blobs_of(strange.PlainMask),
]
LOOPED = {
    strange.AttentionDropout: "from torch; vmap does not support it",
    strange.MaskInPlace: "from torch; vmap does not support it",
    strange.TwoSources: "from torch and numpy.random",
    strange.ClassInModel: "<local calls> changes",
    strange_losses.GradientPenalty: "vmap does not support it",
    strange_losses.SparseRows: "vmap does not support it",
    strange_losses.ThawingLate: "model.calls changes",
    strange_parameters.Hooked: "parameter 0.weight has a hook",
    **{
        strange.blobs_of(net): reason
        for net, reason in {
            strange.Counting: "model.calls changes",
            strange.Late: "model.calls changes",
            strange.CountingInAList: r"model.history\[0\] changes",
            strange.Cycling: "model.factors changes",
            strange.OwnGenerator: "model.rng changes",
            strange.NumpyNoise: "draws random numbers from numpy.random",
            strange.PythonNoise: "draws random numbers from random",
            strange.LateBuffer: "buffer scale changes",
            strange.DrawnAtBirth: "model.scale",
            strange.MaskAtBirth: "model.mask",
            strange.Branching: "vmap does not support it",
            strange_parameters.Clipped: "writes into parameter net.0.bias",
        }.items()
    },
}
REFUSED = {
    strange.NothingAugmented: "`augment` must return Examples, as many as the 13 .* got NoneType",
    strange.HalfAugmented: "`augment` must return Examples, as many as the 13 .* got 6",
    strange.CountingWorkload: "workload.calls changes; keep it as",
    strange.WritesIntoInputs: "validation inputs must stay as they are",
    strange.WritesIntoTargets: "validation targets must stay as they are",
    strange.Switching: "must not switch the model between training and evaluation",
    strange.Detached: "gradient of the loss must not be zero",
    strange.Thresholded: "gradient of the loss must not be zero",
    strange.HalfParameters: r"must all be float32, or all float64, got float16 \(0.weight\)",
    strange.MixedParameters: r"got float32 \(0.weight\) and float64 \(2.weight\)",
    strange.Regression: r"same shape, got \(13, 1\) and \(13,\)",
    strange.RegressionByFunction: r"same shape, got \(13, 1\) and \(13,\)",
    strange.BroadcastError: r"same shape, got \(13, 1\) and \(13,\)",
    strange_losses.SumInTraining: "mean over the batch, .* holds each example twice",
    strange_losses.GoesBackward: "must leave backward.* got a gradient in 0.weight; use",
    strange_losses.Freezing: "freeze parameters in model.*, got a change of 0.weight",
    strange_losses.OneMemory: "must not share memory, got 0.weight and 2.weight; tie them as",
    strange_losses.Lazy: "got 0.weight without a shape; give lazy modules their sizes",
    strange_losses.ComplexLoss: r"one finite number .* got shape \(\) of torch.complex64",
    strange_losses.Score: "error must be a mean over the examples, .* `whole = True`",
    strange_losses.BelowZero: r"error must lie in \[0, 1\], got -",
    strange_parameters.HookedLater: "parameter 0.weight must have no hook for when",
    strange_parameters.HardlyWritten: "validation inputs must stay as they are",
    strange_parameters.CountingErrors: "class CountingErrors>.calls changes; keep it as",
    strange_parameters.SetByTheLoss: "the error is .* alone and .* with a shared output",
    strange_parameters.OneStart: "different seeds must give different models",
    strange_parameters.DrawnData: "two calls of data.* must agree, .* validation",
    strange_parameters.SharedLayer: "two trainings from one seed must agree",
    strange.RootMeanSquare: "error must be a mean over the examples, .* `whole = True`",
    **{
        strange.blobs_of(net): words
        for net, words in {
            strange.CountingInTheClass: r"class CountingInTheClass>.count changes; keep it as",
            strange.CountingGlobally: r"<global CALLS>\[0\] changes; keep it as",
            strange.GlobalGenerator: "<global RNG> changes; keep it as",
            strange_parameters.Decayed: "parameter net.0.bias changes while `loss` and `error`",
            strange_parameters.Replaced: "must keep its parameters",
            strange.CountingWhenMeasured: "model.calls changes while `loss` and `error`",
        }.items()
    },
}


@pytest.mark.parametrize("workload", PACKED, ids=lambda kind: kind.__name__)
def test_what_only_computes_is_packed(workload):
    assert admit(load(workload(), CPU)).mode == "packed"


@pytest.mark.parametrize("workload", LOOPED, ids=lambda kind: kind.__name__)
def test_what_a_trace_would_freeze_is_looped_and_named(workload):
    admission = admit(load(workload(), CPU))
    assert admission.mode == "looped"
    assert re.search(LOOPED[workload], admission.reason), admission.reason


@pytest.mark.parametrize("workload", REFUSED, ids=lambda kind: kind.__name__)
def test_what_no_way_of_training_makes_right_is_refused_and_named(workload):
    with pytest.raises(WorkloadError, match=REFUSED[workload]):
        admit(load(workload(), CPU))
    with pytest.raises(WorkloadError, match=REFUSED[workload]):  # not only the first time
        admit(load(workload(), CPU))


def test_state_that_only_larger_batches_change_is_refused_where_it_would_be_frozen():
    networks = PackedNetworks(load(strange.blobs_of(strange_parameters.LargeBatches)(), CPU), [0])
    networks.gradients(torch.arange(13)[None])
    with pytest.raises(WorkloadError, match=r"model.calls changes with batches .*looped"):
        networks.gradients(torch.arange(14)[None])
