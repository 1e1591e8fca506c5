"""Optimizers of a user's own, as classes in a file: found, checked and refused in one message."""

import pytest

from study.config.space import Hyperparameter, Range
from study.errors import StudyError
from study.optimizers import OPTIMIZERS, optimizer_named
from study.planning.resolve import resolve
from study.planning.update_rules import OptimizerContract
from tests.study.planning.test_resolve import BLOBS
from workloads.errors import WorkloadError
from workloads.registry import files_refused

HEAD = """
import torch
from study.config.space import Hyperparameter, Range

RATE = Hyperparameter(default=Range(low=1e-4, high=1.0, scale="log"), low=0.0, low_open=True)


class Mine:
    hyperparameters = {"lr": RATE, "momentum": Hyperparameter(default=0.9, low=0.0, high=1.0)}
    buffers = ("velocity",)
    coupled_decay = True

    def update(self, state):
        velocity = state.buffers["velocity"]
        velocity.mul_(state.values["momentum"]).add_(state.gradients)
        state.parameters.sub_(state.values["lr"] * velocity)
"""


class Signs:
    """Steps of a fixed length along each axis."""

    hyperparameters = {"lr": Hyperparameter(default=Range(low=1e-4, high=0.1), low=0.0)}

    def update(self, state):
        state.parameters.sub_(state.values["lr"] * state.gradients.sign())


class Normalized:
    """Steps of a fixed length, in a direction that is renewed now and then, and their mean."""

    hyperparameters = Signs.hyperparameters
    buffers = ("total",)
    counters = ("steps",)

    def widths(self, described):
        return {"lengths": len(described)}

    def update(self, state):
        for tensor, length in zip(
            state.each(self.buffers), state.buffers["lengths"].split(1, 1), strict=True
        ):
            tensor.parameters.sub_(state.values["lr"] * tensor.gradients * length)
        state.buffers["total"].add_(state.parameters)
        state.buffers["steps"].add_(1)

    def refresh(self, state):
        for length, tensor in zip(
            state.buffers["lengths"].split(1, 1), state.tensors(state.parameters), strict=True
        ):
            length.copy_(1 / tensor.norm(dim=1, keepdim=True))

    def average(self, state):
        return state.buffers["total"] / state.buffers["steps"]


class TestNormalized(OptimizerContract):
    def make(self):
        return Normalized


class TestSigns(OptimizerContract):
    def make(self):
        return Signs


class TestBuiltIn(OptimizerContract):
    def make(self):
        return OPTIMIZERS["heavy-ball"]


@pytest.fixture
def own(tmp_path):
    """Return a function that writes such a file, with lines after it, and gives its reference."""

    def write(*lines):
        path = tmp_path / "mine.py"
        path.write_text(HEAD + "\n".join(f"    {line}" for line in lines) + "\n")
        return f"{path}:Mine"

    return write


def test_an_optimizer_in_a_file_is_one_like_any_other(own):
    reference = own()
    optimizer = optimizer_named(reference)
    assert optimizer.buffers == ("velocity",)
    assert set(optimizer.optional) >= {"weight_decay", "clip_norm"}
    assert optimizer_named(reference) == optimizer  # traces are cached by its update
    resolved, _ = resolve(
        {"workload": f"{BLOBS}:Blobs", "optimizer": reference, "batch_sizes": [4]}
    )
    assert resolved.optimizer == reference
    assert resolved.hyperparameters == ("lr", "momentum")
    with files_refused(), pytest.raises(WorkloadError, match="unasked; got optimizer Mine in"):
        optimizer_named(reference)


FAULTS = {
    "no update": (["update = 3"], "update of an optimizer must be a method, got 3"),
    "no hyperparameters": (["hyperparameters = None"], "class with `hyperparameters`"),
    "drawn at birth": (
        ["def __init__(self): self.factor = float(torch.rand(()))"],
        "two objects that differ in itself.factor",
    ),
    "a bare number": (["hyperparameters = {'lr': 0.1}"], "each be a .*Hyperparameter, got 0.1"),
    "no learning rate": (["hyperparameters = {}"], "must have a hyperparameter lr"),
    "a name twice": (["buffers = ('lr',)"], "distinct names, got 'lr'"),
    "a taken name": (["hyperparameters = {'lr': RATE, 'ema_decay': RATE}"], "got 'ema_decay'"),
    "a blank": (["hyperparameters = {'lr': RATE, 'my rate': RATE}"], "letters, digits and any of"),
    "a column": (["hyperparameters = {'lr': RATE, 'steps': RATE}"], "got 'steps'"),
    "a taken width": (
        ["def widths(self, described): return {'velocity': 3}"],
        "must take a step, got ValueError: widths with the name 'velocity', which is taken",
    ),
    "an average of one number": (
        ["def average(self, state): return state.parameters[:, :1]"],
        r"must take a step, got ValueError: an average of shape \(2, 1\)",
    ),
    "an average in place": (
        ["def average(self, state): return state.parameters.mul_(0.5)"],
        "an average that changes the parameters; return a new tensor",
    ),
    "an average that mixes lanes": (
        [
            "def average(self, state): return state.parameters.mean(0) "
            "+ torch.zeros_like(state.parameters)"
        ],
        "must update each lane by tensor operations on its own row",
    ),
    "needs arguments": (["def __init__(self, rate): pass"], "class with `hyperparameters`"),
    "raises": (["def update(self, state): raise OSError('no')"], "must take a step, got OSError"),
    "Python state": (
        ["n = 0", "def update(self, state): self.n += 1; state.parameters.sub_(self.n)"],
        "must keep its state in buffers .* got a change of optimizer.update.n",
    ),
    "Python state of a refresh": (
        ["n = 0", "def refresh(self, state): self.n += 1"],
        "must keep its state in buffers .* got a change of optimizer",
    ),
    "a branch": (
        [
            "def update(self, state):",
            "    if state.gradients.norm() < 1e9: state.parameters.sub_(state.gradients)",
        ],
        "got ValueError: a tensor converted to a Python number, as by if",
    ),
    "a learning rate in place": (
        ["def update(self, state): state.parameters.sub_(state.values['lr'].mul_(0.9))"],
        "got ValueError: a change of the hyperparameter lr; keep such numbers in buffers",
    ),
    "a new buffer": (
        ["def update(self, state): state.buffers['velocity'] = state.gradients"],
        "got TypeError: 'mappingproxy' object does not support item assignment",
    ),
    "new parameters": (
        ["def update(self, state): state.parameters - state.values['lr'] * state.gradients"],
        "got ValueError: parameters that do not move; change state.parameters in place",
    ),
    "mixes lanes where gradients are large": (
        [
            "def update(self, state):",
            "    most = state.gradients.abs().max().clamp_min(100)",
            "    state.parameters.sub_(state.gradients / most)",
        ],
        "must update each lane by tensor operations on its own row",
    ),
    "mixes lanes": (
        ["def update(self, state): state.parameters.sub_(state.gradients.mean(0))"],
        "must update each lane by tensor operations on its own row",
    ),
}


@pytest.mark.parametrize(("lines", "match"), FAULTS.values(), ids=FAULTS)
def test_faulty_optimizers_are_refused(own, lines, match):
    with pytest.raises(StudyError, match=match):
        resolve({"workload": f"{BLOBS}:Blobs", "optimizer": own(*lines), "batch_sizes": [4]})


@pytest.mark.parametrize(
    ("reference", "match"),
    [
        ("missing.py:Mine", "an optimizer file must exist|optimizer file must exist"),
        ("mine.py", "optimizer in a file must be given as path/to/file.py:Class"),
    ],
)
def test_a_reference_that_names_no_class_is_refused(reference, match):
    with pytest.raises(WorkloadError, match=match):
        optimizer_named(reference)
