"""Snapshots of Python state: what a call changed is named, and nothing else."""

import itertools
import random
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from workloads.plugin_files import module_of
from workloads.python_state import changed, snapshot

TOTAL = 0


@dataclass
class Held:
    number: int = 0
    inner: dict = field(default_factory=dict)


class Slotted:
    __slots__ = ("number",)

    def __init__(self):
        self.number = 0


def generator():
    for value in range(10):  # noqa: UP028 - a frame whose position counts
        yield value


def counted():
    global TOTAL  # noqa: PLW0603 - the kind of state that is looked for
    TOTAL += 1


def closure():
    count = 0

    def add():
        nonlocal count
        count += 1

    return add


CHANGES = {
    "a number": (lambda: SimpleNamespace(n=1), lambda o: setattr(o, "n", 2), "root.n"),
    "a list": (lambda: SimpleNamespace(n=[1]), lambda o: o.n.append(2), "root.n[1]"),
    "a mapping": (lambda: {"a": {"b": 1}}, lambda o: o["a"].update(b=2), "root['a']['b']"),
    "a set": (lambda: {1}, lambda o: o.add(2), "root"),
    "a deque": (lambda: deque([1]), lambda o: o.append(2), "root[1]"),
    "a dataclass": (Held, lambda o: o.inner.update(x=1), "root.inner['x']"),
    "slots": (Slotted, lambda o: setattr(o, "number", 1), "root.number"),
    "a tensor": (lambda: [torch.zeros(3)], lambda o: o[0].add_(1), "root[0]"),
    "an array": (lambda: [np.zeros(3)], lambda o: np.add(o[0], 1, out=o[0]), "root[0]"),
    "torch's generator": (torch.Generator, lambda o: torch.rand(1, generator=o), "root"),
    "numpy's generator": (lambda: np.random.default_rng(0), lambda o: o.random(), "root"),
    "Python's generator": (lambda: random.Random(0), lambda o: o.random(), "root"),
    "a count": (itertools.count, next, "root"),
    "a cycle": (lambda: itertools.cycle([1, 2]), next, "root"),
    "an iterator": (lambda: iter([1, 2, 3]), next, "root"),
    "a generator function": (generator, next, "root.position"),
    "a closure": (closure, lambda o: o(), "root<local count>"),
    "a global": (lambda: counted, lambda o: o(), "root<global TOTAL>"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_seen_and_named(kind):
    make, change, path = CHANGES[kind]
    held = make()
    before = snapshot(root=held)
    assert changed(before, snapshot(root=held)) == []
    change(held)
    assert path in changed(before, snapshot(root=held))


def test_parameters_and_buffers_are_no_python_state():
    model = nn.Sequential(nn.LSTM(2, 3), nn.BatchNorm1d(3))
    before = snapshot(model=model)
    with torch.no_grad():
        model[0].weight_ih_l0.add_(1)
        model[1].running_mean.add_(1)
    assert changed(before, snapshot(model=model)) == []


def test_two_models_of_one_class_have_equal_state():
    first, second = (nn.TransformerEncoderLayer(8, 2, dropout=0.1) for _ in range(2))
    assert changed(snapshot(model=first), snapshot(model=second)) == []


def test_a_reference_to_itself_ends():
    held = SimpleNamespace()
    held.own, held.number = held, 1
    assert changed(snapshot(root=held), snapshot(root=held)) == []


def test_what_a_file_beside_a_plug_in_holds_is_seen(tmp_path):
    (tmp_path / "counts.py").write_text("CALLS = [0]\n")
    (tmp_path / "mine.py").write_text("import counts\ndef call(): counts.CALLS[0] += 1\n")
    module = module_of(tmp_path / "mine.py")
    before = snapshot(call=module.call)
    module.call()
    assert changed(before, snapshot(call=module.call)) == ["call<global counts>.CALLS[0]"]
