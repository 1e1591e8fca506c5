"""Admission of optimizers: built-in ones pass, and those that a trace would freeze do not."""

import itertools

import pytest
import torch

from study.errors import StudyError
from study.optimizers import OPTIMIZERS, Optimizer
from study.optimizers.momentum import LR
from study.planning.update_rules import require_sound

COUNT = itertools.count()


def counting(state):
    state.parameters.addcmul_(state.gradients, state.values["lr"], value=-(0.5 ** next(COUNT)))


def mixing(state):
    mean = state.gradients.mean(dim=0, keepdim=True)
    state.parameters.addcmul_(mean, state.values["lr"], value=-1.0)


def noisy(state):
    noise = torch.rand_like(state.gradients)
    state.parameters.addcmul_(noise, state.values["lr"], value=-1.0)


def at_one_rate(state):
    state.parameters.addcmul_(state.gradients, state.values["lr"].mean(), value=-1.0)


def comparing(state):
    same = torch.equal(state.gradients, state.parameters)
    state.parameters.addcmul_(state.gradients, state.values["lr"], value=0.0 if same else -1.0)


def by_length(state):
    large = len((state.gradients.abs() > 1e9).nonzero())
    state.parameters.addcmul_(state.gradients, state.values["lr"], value=0.0 if large else -1.0)


def failing(state):
    state.parameters.add_(state.buffers["velocity"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_built_in_optimizer_is_admitted(name):
    require_sound(name, OPTIMIZERS[name])


@pytest.mark.parametrize(
    ("update", "words"),
    [
        (counting, "must keep its state in buffers .*<global COUNT>"),
        (mixing, "do not mix rows"),
        (at_one_rate, "do not mix rows"),
        (comparing, "a tensor converted to a Python number"),
        (by_length, "a tensor converted to a Python number"),
        (noisy, "draw no random numbers"),
        (failing, "optimizer mine must take a step, got KeyError: 'velocity'"),
    ],
)
def test_an_update_that_a_pack_would_change_is_refused(update, words):
    optimizer = Optimizer(hyperparameters={"lr": LR}, buffers=(), update=update)
    with pytest.raises(StudyError, match=words):
        require_sound("mine", optimizer)
