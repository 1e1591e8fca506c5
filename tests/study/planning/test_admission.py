"""Admission on workloads that do more than compute: looped, or refused with the member's name."""

import re

import pytest
import torch

from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import load
from study.planning.admission import admit
from tests import strange, strange_gradients, strange_losses, strange_parameters, strange_reads
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
    strange_gradients.ClippedOnItsWay,
    strange_gradients.Slopes,
    strange_losses.OneElement,
    strange_parameters.StartedByNumpy,
    strange_reads.Delegating,
    strange_reads.Talkative,
    strange_reads.TruthValues,
    strange.blobs_of(strange.Net),
    strange.blobs_of(strange.PlainMask),
]
LOOPED = {
    strange.AttentionDropout: "from torch; vmap does not support it",
    strange.MaskInPlace: "from torch; vmap does not support it",
    strange.TwoSources: "from torch and numpy.random",
    strange.ClassInModel: "<local calls> changes",
    strange_gradients.SparseNeighbours: "vmap does not support it",
    strange_gradients.Teacher: "writes into parameter teacher.net.0.bias",
    strange_losses.GradientPenalty: "vmap does not support it",
    strange_losses.SparseRows: "vmap does not support it",
    strange_losses.ThawingLate: "model.calls changes",
    strange_parameters.Hooked: "parameter 0.weight has a hook",
    strange_reads.InNumpy: "vmap does not support it",
    strange_reads.CountingOnTheWeight: "model.0.weight.calls changes",
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
    strange_losses.SumInTraining: "mean over the batch, .* with each example twice",
    strange_losses.GoesBackward: "must leave backward.* got a gradient in 0.weight; use",
    strange_losses.Freezing: "freeze parameters in model.*, got a change of 0.weight",
    strange_losses.OneMemory: "must not share memory, got 0.weight and 2.weight; tie them as",
    strange_losses.Lazy: "got 0.weight without a shape; give lazy modules their sizes",
    strange_losses.ComplexLoss: r"one finite number .* got shape \(\) of torch.complex64",
    strange_losses.Score: "error must be a mean over the examples, .* `whole = True`",
    strange_losses.BelowZero: r"error must lie in \[0, 1\], got -",
    strange_parameters.HookedLater: "parameter 0.weight must have no post-accumulate-grad hook",
    strange_parameters.HardlyWritten: "validation inputs must stay as they are",
    strange_parameters.CountingErrors: "class CountingErrors>.calls changes; keep it as",
    strange_parameters.SetByTheLoss: "the error is .* alone and .* with a shared output",
    strange_parameters.OneStart: "different seeds must give different models",
    strange_parameters.DrawnData: "two calls of data.* must agree, .* validation",
    strange_parameters.SharedLayer: "model.. must return a model of its own .* train 0.weight",
    strange_reads.Minutes: "seeds alone, but Minutes.loss calls time.time, which",
    strange_reads.Months: "Months.loss calls time.gmtime, which",
    strange_reads.Weekdays: "Weekdays.augment calls datetime.now, which",
    strange_reads.Flagged: "Flagged.error calls os.stat, which",
    strange_reads.FirstBatch: "from its first call .* but workload.mean does; compute it in",
    strange_reads.FirstBatchByName: r"workload.kept\['mean'\] does",
    strange_reads.DelegatingFirstBatch: r"must work with copy.copy\(\), which fails",
    strange_reads.OneNorm: "all trials share .* buffer 1.num_batches_tracked changes",
    strange_reads.RarelyIgnored: "loss must work on a single example, .* got nan",
    strange_reads.RareClass: "loss must be a mean over the examples",
    strange_reads.CountingItems: "an item of train must depend on its index .* items.count",
    strange_reads.DatedItems: "items.__getitem__ calls date.today, which",
    strange_reads.SometimesNoisy: "must draw random numbers, or none, got draws from torch",
    strange_gradients.CountInOneByte: "error must be a mean over the examples, .* on 512 of",
    strange_gradients.Reentrant: "differ in parameter 0.weight; .* use_reentrant=False",
    strange_gradients.Unseeded: "Unseeded.augment calls torch.Generator.seed, which",
    strange.RootMeanSquare: "error must be a mean over the examples, .* `whole = True`",
    **{
        strange.blobs_of(net): words
        for net, words in {
            strange_gradients.ViewInABuffer: "got buffer start for net.0.bias; keep a copy",
            strange_gradients.ViewInAList: r"got model.starts\[0\] for net.0.weight; keep a copy",
            strange_gradients.ViewInNumpy: "got model.start for net.0.weight; keep a copy",
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
    assert admit(load(workload(), CPU)) == ""


@pytest.mark.parametrize("workload", LOOPED, ids=lambda kind: kind.__name__)
def test_what_a_trace_would_freeze_is_looped_and_named(workload):
    reason = admit(load(workload(), CPU))
    assert re.search(LOOPED[workload], reason), reason


@pytest.mark.parametrize("workload", REFUSED, ids=lambda kind: kind.__name__)
def test_what_no_way_of_training_makes_right_is_refused_and_named(workload):
    with pytest.raises(WorkloadError, match=REFUSED[workload]):
        admit(load(workload(), CPU))
    with pytest.raises(WorkloadError, match=REFUSED[workload]):  # not only the first time
        admit(load(workload(), CPU))


def test_a_file_that_the_first_call_reads_is_not_refused():
    assert load(strange_reads.LoadedOnce(), CPU).observed.words() == []


def test_data_that_the_first_loss_changes_are_refused():
    with pytest.raises(WorkloadError, match="data must not change once data.. has returned them"):
        load(strange_reads.CentredLater(), CPU)


def test_an_item_that_is_no_number_is_named_where_it_is_trained_on():
    networks = LoopedNetwork(load(strange_reads.MissingItem(), CPU), 0)
    networks.gradients(torch.arange(45)[None])
    with pytest.raises(WorkloadError, match="of a training batch must be finite, .* in 1 of 9"):
        networks.gradients(torch.arange(45, 54)[None])


def test_state_that_only_larger_batches_change_is_refused_where_it_would_be_frozen():
    networks = PackedNetworks(load(strange.blobs_of(strange_parameters.LargeBatches)(), CPU), [0])
    networks.gradients(torch.arange(13)[None])
    with pytest.raises(WorkloadError, match=r"model.calls changes only with batches .*looped"):
        networks.gradients(torch.arange(14)[None])
