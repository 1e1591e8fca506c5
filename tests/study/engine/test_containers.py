"""Examples in containers and data sets train as plain tensors do, bit for bit."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from study.engine.cohort import build_lanes
from study.engine.networks.training import load
from study.orchestration.actor import received, shared_data
from study.planning.admission import admit
from tests import containers
from tests.blobs import Blobs
from tests.study.cohorts import cohort_of
from workloads import contract
from workloads.errors import WorkloadError
from workloads.testing import check

CPU = torch.device("cpu")
TREES = [containers.InContainers, containers.InClasses]
LOOPED = [
    containers.MappedInContainers,
    containers.Loaded,
    containers.LoadedThreaded,
]
COHORT = cohort_of((0.3, 0.05, 0.01))


@cache
def blobs():
    return load(Blobs(), CPU)


def trained(made, study):
    """Return losses, measurements and parameters after a few steps."""
    lanes = build_lanes(study, made, COHORT)
    return [lanes.advance(6), *lanes.measure(), lanes.parameters.numpy()]


@pytest.mark.parametrize("micro_batch", ["auto", 3])
@pytest.mark.parametrize(
    ("workload", "mode"),
    [
        (containers.InContainers, "packed"),
        (containers.InClasses, "packed"),
        (containers.InContainers, "looped"),
        (containers.MappedInContainers, "looped"),
        (containers.Loaded, "looped"),
        (containers.LoadedThreaded, "looped"),
    ],
    ids=lambda case: getattr(case, "__name__", case),
)
def test_any_container_trains_as_plain_tensors(make_study, workload, mode, micro_batch):
    study = make_study(compute={"mode": mode, "micro_batch": micro_batch})
    both = [trained(made, study) for made in (load(workload(), CPU), blobs())]
    assert all(map(np.array_equal, *both))


@pytest.mark.parametrize(
    "workload", [*TREES, containers.WholeInContainers], ids=lambda kind: kind.__name__
)
def test_trees_are_packed(workload):
    assert admit(load(workload(), CPU)) == ""


@pytest.mark.parametrize("workload", LOOPED, ids=lambda kind: kind.__name__)
def test_loaded_items_are_looped_and_each_worker_reads_them_itself(workload):
    made = load(workload(), CPU)
    assert admit(made) == "its training examples are loaded batch by batch"
    assert shared_data(made) == (None, None)


def test_random_items_follow_from_the_trial_alone(make_study):
    study = make_study(compute={"mode": "looped"})
    made = load(containers.LoadedNoisily(), CPU)
    assert admit(made)
    results = []
    for disturbance in (0, 1):
        torch.manual_seed(disturbance)
        results.append(trained(made, study))
    assert all(map(np.array_equal, *results))
    lanes = build_lanes(study, made, replace(COHORT, points=COHORT.points[1:2]))
    assert lanes.advance(6) == results[0][0][1]


def test_random_items_resume_from_a_saved_state(make_study):
    study = make_study(compute={"mode": "looped"})
    made = load(containers.LoadedNoisily(), CPU)
    whole, cut, resumed = (build_lanes(study, made, COHORT) for _ in range(3))
    whole.advance(9)
    cut.advance(4)
    resumed.restore(cut.state())
    resumed.advance(5)
    assert torch.equal(resumed.parameters, whole.parameters)


@pytest.mark.parametrize("workload", TREES, ids=lambda kind: kind.__name__)
def test_trees_arrive_at_workers_as_they_were_sent(workload):
    made = load(workload(), CPU)
    there = received(*shared_data(made))
    for split in ("train", "validation"):
        sent, got = getattr(made.data, split), getattr(there, split)
        assert type(got.inputs) is type(sent.inputs)
        assert all(map(torch.equal, sent.tensors, got.tensors))


REFUSED = {
    containers.TakesKeysOut: r"validation inputs\['x'\] must stay as they are",
    containers.WritesIntoALeaf: r"validation inputs\['more'\]\[0\] must stay as they are",
    containers.BroadcastInContainers: "output and target must have the same shape",
    containers.NoisyValidation: "item of validation must not be random.*from torch",
    **{
        containers.blobs_of_items(kind): words
        for kind, words in {
            containers.Mappings: "must be a pair of input and target, got dict",
            containers.Texts: "input of all items must be tensors, arrays or numbers",
            containers.Ragged: "of one shape, got Tensor: .*convert or pad them",
            containers.Counted: "an item of train must be the same whenever it is loaded",
            containers.Endless: "train must be Examples, got Endless; .* map-style",
            containers.Threads: "`loaders` of train must be 0 where an item draws.*from torch",
        }.items()
    },
}


@pytest.mark.parametrize("workload", REFUSED, ids=lambda kind: kind.__name__)
def test_what_cannot_be_trained_on_is_refused_with_its_place(workload):
    with pytest.raises(WorkloadError, match=REFUSED[workload]):
        admit(load(workload(), CPU))


@pytest.mark.parametrize("workload", [containers.InClasses, containers.LoadedNoisily])
def test_the_contract_takes_containers(workload, monkeypatch):
    monkeypatch.setattr(contract, "_TRAINING_STEPS", 20)
    assert [clause for clause in check(workload()) if not clause.passed] == []
