"""Snapshots of Python state: what a call changed is named, and nothing else."""

import ctypes
import functools
import importlib
import io
import itertools
import mmap
import os
import queue
import random
import threading
from argparse import Namespace
from collections import Counter, deque
from contextvars import ContextVar
from dataclasses import dataclass, field
from fractions import Fraction
from multiprocessing import Value
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from workloads.examination import authors, python_state
from workloads.examination.python_state import changed, snapshot
from workloads.plugin_files import module_of

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
    global TOTAL  # the kind of state that is looked for
    TOTAL += 1


def closure():
    count = 0

    def add():
        nonlocal count
        count += 1

    return add


CACHED = [0]
CONTEXT = ContextVar("CONTEXT", default=0)


@functools.cache
def cached(key):
    CACHED[0] += 1


@functools.cache
def kept_generator(seed=0):
    return np.random.default_rng(seed)


@functools.lru_cache(maxsize=8)
def kept_counts(name="calls"):
    return {name: 0}


def keyword(*, held=[0]):  # noqa: B006 - the kind of state that is looked for
    held[0] += 1
    return os.environ


def _set_environment(_):
    os.environ["A_B"] = os.environ.get("A_B", "") + "c"


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
    "a range": (lambda: [range(1)], lambda o: o.append(range(o.pop().stop + 1)), "root[0][0][1]"),
    "a fraction": (lambda: [Fraction(1)], lambda o: o.append(o.pop() + 1), "root[0][0][0]"),
    "bytes": (lambda: bytearray(1), lambda o: o.append(1), "root[0][0]"),
    "options": (lambda: Namespace(n=1), lambda o: setattr(o, "n", 2), "root.n"),
    "a value of a thread": (threading.local, lambda o: setattr(o, "n", 2), "root.n"),
    "a value of a context": (lambda: CONTEXT, lambda o: o.set(1), "root"),
    "a value of processes": (lambda: Value("i"), lambda o: setattr(o, "value", 2), "root[0][1][1]"),
    "a cached function": (lambda: cached, lambda o: o(object()), "root<global CACHED>[0]"),
    "a generator in a cache": (
        lambda: [kept_generator, kept_generator()][:1],
        lambda o: o[0]().random(),
        "root[0]<cached 0>",
    ),
    "counts in a bounded cache": (
        lambda: [kept_counts, kept_counts()][:1],
        lambda o: o[0]().update(calls=random.random()),
        "root[0]<cached 0>['calls']",
    ),
    "a place in a file": (lambda: io.StringIO("1\n2\n"), lambda o: o.readline(), "root"),
    "a block of C": (lambda: (ctypes.c_int * 2)(), lambda o: o.__setitem__(0, 1), "root"),
    "shared memory": (lambda: mmap.mmap(-1, 8), lambda o: o.write(b"x"), "root"),
    "a queue": (queue.SimpleQueue, lambda o: o.put(1), "root"),
    "a source of numpy's": (lambda: np.random.PCG64(0), lambda o: o.random_raw(), "root"),
    "a sequence of seeds": (lambda: np.random.SeedSequence(0), lambda o: o.spawn(1), "root"),
    "an iterator over an array": (lambda: np.arange(9).flat, next, "root"),
    "a table": (
        lambda: pd.DataFrame({"n": [0]}),
        lambda o: o.__setitem__("n", 1),
        "root._mgr[0][0][0][0][0]",
    ),
    "a matrix of few numbers": (
        lambda: [torch.eye(3).to_sparse()],
        lambda o: o[0]._values().add_(1),
        "root[0]",
    ),
    "a conjugate": (
        lambda: [torch.zeros(3, dtype=torch.complex64).conj()],
        lambda o: o[0].add_(1j),
        "root[0]",
    ),
    "an attribute of a mapping": (Counter, lambda o: setattr(o, "n", 2), "root.n"),
    "a value beside a vocabulary": (
        lambda: SimpleNamespace(words={str(n): n for n in range(70_000)}, n=1),
        lambda o: setattr(o, "n", 2),
        "root.n",
    ),
    "a keyword's default": (lambda: keyword, lambda o: o(), "root<default held>[0]"),
    "the environment": (lambda: keyword, _set_environment, "root<global os>.environ._data[b'A_B']"),
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


def test_parameters_and_buffers_are_not_python_state():
    model = nn.Sequential(nn.LSTM(2, 3), nn.BatchNorm1d(3))
    before = snapshot(model=model)
    with torch.no_grad():
        model[0].weight_ih_l0.add_(1)
        model[1].running_mean.add_(1)
    assert changed(before, snapshot(model=model)) == []


def test_two_models_of_one_class_have_equal_state():
    first, second = (nn.TransformerEncoderLayer(8, 2, dropout=0.1) for _ in range(2))
    assert changed(snapshot(model=first), snapshot(model=second)) == []


def test_a_circular_reference_ends():
    held = SimpleNamespace()
    held.own, held.number = held, 1
    assert changed(snapshot(root=held), snapshot(root=held)) == []


def test_an_import_inside_a_function_is_seen(tmp_path):
    (tmp_path / "held.py").write_text("N = 0\n")
    (tmp_path / "own.py").write_text("def call():\n    import held\n    held.N += 1\n")
    module = module_of(tmp_path / "own.py")
    module.call()
    before = snapshot(call=module.call)
    module.call()
    assert changed(before, snapshot(call=module.call)) == ["call<import held>.N"]


def test_values_beyond_the_limit_count_as_changed(monkeypatch):
    monkeypatch.setattr(python_state, "_MAX_VALUES", 3)
    many = [[number] for number in range(5)]
    assert changed(snapshot(root=many), snapshot(root=many)) == [python_state.UNSEEN]


def test_an_installed_workloads_package_counts_as_its_authors(tmp_path, monkeypatch):
    (tmp_path / "site-packages").mkdir()
    file = tmp_path / "site-packages" / "installed_ones.py"
    file.write_text("class Own:\n    calls = 0\n")
    monkeypatch.syspath_prepend(str(file.parent))
    own = importlib.import_module("installed_ones").Own()
    authors.watch(own)
    before = snapshot(root=own)
    type(own).calls = 1
    assert changed(before, snapshot(root=own)) == ["root<class Own>.calls"]


def test_the_state_of_a_file_beside_a_plug_in_is_seen(tmp_path):
    (tmp_path / "counts.py").write_text("CALLS = [0]\n")
    (tmp_path / "mine.py").write_text("import counts\ndef call(): counts.CALLS[0] += 1\n")
    module = module_of(tmp_path / "mine.py")
    before = snapshot(call=module.call)
    module.call()
    assert changed(before, snapshot(call=module.call)) == ["call<global counts>.CALLS[0]"]
