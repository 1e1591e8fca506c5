"""The engine on a GPU; skipped without one.

`make gpu` runs these. With BATCHSCALE_TEST_DEVICE=cpu all but what only CUDA has run on the CPU.
"""

import os

import numpy as np
import pytest
import torch

from analysis.tables.folder import ResultsFolder
from study.config.sections import Precision
from study.config.space import Range
from study.costing.all_reduce import measured_link
from study.costing.energy import energy_since
from study.engine.cohort import run_cohort
from study.engine.data_order import ClientOrder, DataOrder
from study.engine.federated import FederatedLanes
from study.engine.lanes import GradientLanes, UpdateSettings
from study.engine.networks.cuda_graph import CapturedStep
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import load
from study.optimizers import OPTIMIZERS
from study.replay.trial import Replay, same_curve
from study.search.queue import CohortQueue
from tests.study.conftest import BLOBS
from tests.study.engine.test_checkpoints import (
    assert_same,
    checkpoint_of,
    cohort_of,
    killed,
)
from tests.study.engine.test_lanes import LittleMemory
from workloads.registry import resolve

DEVICE = os.environ.get("BATCHSCALE_TEST_DEVICE", "cuda")
ABSENT = DEVICE == "cuda" and not torch.cuda.is_available()
pytestmark = pytest.mark.skipif(ABSENT, reason="needs a GPU")
only_cuda = pytest.mark.skipif(DEVICE != "cuda", reason="the CPU has no captured graphs")


def lanes_on(device, workload, optimizer="nesterov", batch_size=16, micro_batch=None, **loading):
    known = {n: entry.default for n, entry in OPTIMIZERS[optimizer].hyperparameters.items()}
    middle = {n: d.at(0.5) if isinstance(d, Range) else d for n, d in known.items()}
    values = {name: np.full(4, value) for name, value in middle.items()}
    training = load(workload, torch.device(device), **loading)
    seeds = [1, 2, 3, 4]
    settings = UpdateSettings(
        optimizer=OPTIMIZERS[optimizer],
        batch_size=batch_size,
        hyperparameters=values | {"lr": values["lr"] * np.geomspace(0.3, 3.0, 4)},
        micro_batch=micro_batch,
    )
    order = DataOrder(seeds, len(training.data.train.inputs), batch_size, training.device)
    return GradientLanes(training, PackedNetworks(training, seeds), settings, order)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_gpu_trains_like_the_cpu(training, optimizer):
    workload = training().workload
    cpu, gpu = (lanes_on(device, workload, optimizer) for device in ("cpu", DEVICE))
    for steps in (1, 5, 20):
        np.testing.assert_allclose(gpu.advance(steps), cpu.advance(steps), rtol=1e-3)
    gpu.keep(np.array([True, False, False, True]))
    cpu.keep(np.array([True, False, False, True]))
    np.testing.assert_allclose(gpu.advance(5), cpu.advance(5), rtol=1e-3)
    # L-BFGS divides by differences of gradients, in which rounding shows
    close = 3e-2 if optimizer == "lbfgs" else 1e-3
    np.testing.assert_allclose(gpu.measure(), cpu.measure(), rtol=close)


@pytest.fixture
def blobs_study(tmp_path):
    """Return a study file of a few cohorts of blobs."""
    file = tmp_path / "study.toml"
    text = f'workload = "{BLOBS}:Blobs"\nbatch_sizes = [4, 16]\n'
    text += "[search]\ntrials = 8\n[race]\nmax_steps = 200\ncohort = 4\n"
    file.write_text(text, encoding="utf-8")
    return file


@only_cuda
def test_a_captured_step_starts_from_the_given_state():
    state = torch.zeros(3, device="cuda")

    def step(by):
        state.add_(by)
        return state.sum()

    captured = CapturedStep(step, [torch.ones(3, device="cuda")], [state])
    assert state.tolist() == [0, 0, 0]
    captured(torch.full((3,), 2.0, device="cuda"))
    assert captured(torch.ones(3, device="cuda")).item() == 9.0


@only_cuda
def test_captured_steps_share_memory_and_keep_their_state():
    states = [torch.zeros(3, device="cuda") for _ in range(6)]

    def step_of(state):
        def step(by):
            large = torch.ones(2**25, device="cuda") * by  # twice 128 MiB
            state.add_(large[:3])
            return state.sum()

        return step

    before = torch.cuda.memory_reserved()
    one = torch.ones(1, device="cuda")
    captured = [CapturedStep(step_of(state), [one], [state]) for state in states]
    assert torch.cuda.memory_reserved() - before < 6 * 2**27
    for _ in range(2):
        for by, step in enumerate(captured):
            step(one * by)
    assert [state.tolist() for state in states] == [[2 * by] * 3 for by in range(6)]


def test_captured_lanes_resume_bit_for_bit(training):
    workload = training().workload
    full, begun, again = (lanes_on(DEVICE, workload) for _ in range(3))
    for lanes in (full, begun):
        lanes.advance(7)
        lanes.keep(np.array([True, False, False, True]))
        lanes.advance(4)
    again.restore(begun.state())
    assert np.array_equal(again.advance(9), full.advance(9))
    assert torch.equal(again.parameters, full.parameters)


def test_captured_batch_statistics_equal_the_ones_on_the_cpu(training):
    workload = training("batch norm").workload
    cpu, gpu = (lanes_on(device, workload) for device in ("cpu", DEVICE))
    np.testing.assert_allclose(gpu.advance(20), cpu.advance(20), rtol=1e-3)
    np.testing.assert_allclose(gpu.measure(), cpu.measure(), rtol=1e-3)  # by the running ones


DEEP = {
    "convolutions": ("digits-cnn", {}),
    "batch norm": ("digits-resnet8", {"norm": "batch"}),
    "embeddings": ("text-transformer", {}),
    "recurrent": ("text-lstm", {}),
}


@pytest.mark.parametrize("kind", DEEP)
def test_float32_is_not_rounded_to_tf32(kind):
    def gradients(device):
        loaded = load(resolve(*DEEP[kind]), torch.device(device))
        indices = torch.arange(32, device=loaded.device).view(2, 16)
        return PackedNetworks(loaded, [1, 2]).gradients(indices)[0].cpu()

    exact, found = gradients("cpu"), gradients(DEVICE)
    assert torch.linalg.vector_norm(found - exact) < 2e-5 * torch.linalg.vector_norm(exact)


@pytest.mark.parametrize("kind", DEEP)
def test_deep_networks_on_a_gpu_repeat_themselves(kind):
    once, again = (lanes_on(DEVICE, resolve(*DEEP[kind])) for _ in range(2))
    assert np.array_equal(once.advance(20), again.advance(20))
    assert torch.equal(once.parameters, again.parameters)


def test_dropout_on_a_gpu_repeats_itself(training):
    workload = training("dropout").workload
    once, again = (lanes_on(DEVICE, workload) for _ in range(2))
    assert np.array_equal(once.advance(9), again.advance(9))
    assert torch.equal(once.parameters, again.parameters)


@pytest.mark.parametrize(("precision", "apart"), [(Precision.TF32, 2e-2), (Precision.BF16, 0.1)])
def test_coarse_arithmetic_trains_nearly_as_float32(training, precision, apart):
    workload = training().workload
    exact, coarse = lanes_on(DEVICE, workload), lanes_on(DEVICE, workload, precision=precision)
    np.testing.assert_allclose(coarse.advance(20), exact.advance(20), rtol=apart)
    assert coarse.parameters.dtype is torch.float32
    load(workload, torch.device(DEVICE))  # leaves the process as it was


def test_micro_batches_add_up(training):
    workload = training().workload
    whole, parts = lanes_on(DEVICE, workload), lanes_on(DEVICE, workload, micro_batch=5)
    np.testing.assert_allclose(parts.advance(20), whole.advance(20), rtol=1e-3)
    assert parts.micro_batch == 5


def test_a_batch_that_the_memory_does_not_hold_is_split(training):
    workload = training().workload
    whole, little = (lanes_on(DEVICE, w) for w in (workload, LittleMemory(workload, holds=13)))
    np.testing.assert_allclose(little.advance(20), whole.advance(20), rtol=1e-3)
    assert little.micro_batch < 16


@only_cuda
def test_memory_that_really_runs_out_is_recovered(training):
    class Greedy(LittleMemory):
        """Its loss needs more than the card has for more than so many examples."""

        def loss(self, model, batch):
            if len(batch.inputs) > self.holds:
                torch.empty(2**50, dtype=torch.uint8, device=batch.inputs.device)
            return self.workload.loss(model, batch)

    greedy = lanes_on(DEVICE, Greedy(training().workload, holds=13))
    greedy.advance(3)
    assert greedy.micro_batch < 16


def test_federated_rounds_equal_the_ones_on_the_cpu(training):
    def on(device):
        plain = lanes_on(device, training().workload)
        made = load(training().workload, torch.device(device))
        shards = [torch.arange(at, at + 30, device=made.device) for at in (0, 30, 60)]
        order = ClientOrder([1, 2, 3, 4], shards, 2, 5)
        return FederatedLanes(made, PackedNetworks(made, [1, 2, 3, 4]), plain._settings, order)

    cpu, gpu = on("cpu"), on(DEVICE)
    np.testing.assert_allclose(gpu.advance(6), cpu.advance(6), rtol=1e-3)


@pytest.mark.parametrize("kind", ["plain", "batch norm", "dropout"])
def test_a_killed_race_resumes_to_the_same_end(training, make_study, tmp_path, kind):
    study = make_study(compute={"pack": {"lanes": 5}}, race={"target": 1e-9, "max_steps": 60})
    made = load(training(kind).workload, torch.device(DEVICE))
    place, cohort = ResultsFolder.at(tmp_path), cohort_of(study)
    whole = run_cohort(study, made, cohort)
    killed(place, study, made, cohort)
    resumed = checkpoint_of(place, study, cohort, device=DEVICE)
    assert_same(run_cohort(study, made, cohort, resumed), whole)


def test_a_replayed_trial_is_the_recorded_one(training, make_study):
    study = make_study(compute={"pack": {"lanes": 4}})
    made = load(training().workload, torch.device(DEVICE))
    cohort = CohortQueue(study, []).take()
    results = run_cohort(study, made, cohort)
    replay = Replay(study, made, results[1], results)
    for _ in replay.measurements(int(results[1].curve.step[-1])):
        pass
    assert same_curve(replay.curve(), results[1].curve)


@only_cuda
def test_the_energy_of_a_gpu_is_counted():
    pytest.importorskip("pynvml", reason="needs nvidia-ml-py")
    since = energy_since("cuda")
    if since is None:
        pytest.skip("this GPU has no energy counter")
    block = torch.randn(4096, 4096, device="cuda")
    for _ in range(200):
        torch.mm(block, block)
    torch.cuda.synchronize()
    assert 0 < since() < 1e5


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_messages_between_gpus_are_timed():
    link = measured_link(2)
    assert link.bandwidth > 0
    assert link.latency >= 0


@only_cuda
@pytest.mark.slow
def test_cohorts_share_one_gpu_by_fractions(command, blobs_study):
    code, out, err = command("sweep", blobs_study, "--gpus-per-worker", 0.5, "--workers", 2)
    assert (code, err) == (0, ""), out
    assert command("verify", "results/study", "--run-code")[0] == 0
