"""Faulty workloads: `sweep` refuses in words what it can know, `check` names the clause."""

import sys
from contextlib import nullcontext
from itertools import count
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis.tables.folder import ResultsFolder
from study.commands import app as cli
from tests.study.commands.malformed.fuzzing import tried
from workloads import contract

FILE = """
import math
import sys
import numpy
import torch
from torch import nn
from workloads import Data
from workloads import Examples
from workloads import Target

{file}

class Mine:
{body}
"""
MEMBERS = {
    "target": "target = Target(0.1)",
    "init": "def __init__(self, width=3): pass",
    "data": """def data(self):
        x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
        y = (x[:, 0] > 0).long()
        return Data(train=Examples(x[:30], y[:30]), validation=Examples(x[30:], y[30:]))""",
    "model": "def model(self): return nn.Linear(2, 8)",  # few start with two labels right
    "loss": """def loss(self, model, batch):
        return nn.functional.cross_entropy(model(batch.inputs), batch.targets)""",
    "error": """def error(self, model, data):
        return (model(data.inputs).argmax(-1) != data.targets).float().mean()""",
}
GIVEN = "X, Y = torch.zeros(40, 2), torch.zeros(40, dtype=torch.long)\n"


def data(train, validation="Examples(X, Y)"):
    return {"data": f"def data(self): return Data(train={train}, validation={validation})"}


def loss(value, signature="self, model, batch"):
    return {"loss": f"def loss({signature}): return {value}"}


def error(value):
    return {"error": f"def error(self, model, data): return {value}"}


def model(value):
    return {"model": f"def model(self): return {value}"}


def declared(value):
    return {
        "hyperparameters": f"hyperparameters = {value}",
        **loss("model(batch.inputs).square().mean() * s", "self, model, batch, s=0.0"),
    }


ACCURACY = "(model(data.inputs).argmax(-1) == data.targets).float().mean()"
LOGITS = "model(batch.inputs)"
# what is changed, what `sweep` says, and the clause that `check` finds broken, if it can be built
FAULTS = {
    "target none": ({"target": "target = None"}, "must be a Target", "target is in range"),
    "target text": ({"target": "target = Target('a')"}, "must lie in (0, 1)", "target is in"),
    "target nan": ({"target": "target = Target(math.nan)"}, "got nan", "target is in range"),
    "target of 1": ({"target": "target = Target(1.0)"}, "must lie in (0, 1)", "target is in"),
    "target of 3 on an error": (
        {"target": "target = Target(3.0)"},
        'got 3.0; write 0.03 for 3 %, or Target(3, quantity="loss") for a loss',
        "target is in range",
    ),
    "an accuracy": (error(ACCURACY), "lower must be better, got an error that rises", None),
    "an accuracy and its target": (
        {"target": "target = Target(0.95)", **error(ACCURACY)},
        "lower must be better, got an error that rises",
        "target is below the start",
    ),
    "target quantity": ({"target": "target = Target(1, 'x')"}, "error or loss", "target is in"),
    "target raises": (
        {"target": "target = property(lambda self: 1 / 0)"},
        "members must be readable, got ZeroDivisionError",
        None,
    ),
    "init raises": ({"init": "def __init__(self): raise KeyError('k')"}, "KeyError: 'k'", None),
    "init exits": ({"init": "def __init__(self): sys.exit(0)"}, "SystemExit", None),
    "init wants": ({"init": "def __init__(self, width): pass"}, "must give width", None),
    "no methods": ({"model": "model = 3"}, "must be methods", None),
    "data none": (
        {"data": "def data(self): pass"},
        "must return a Data, got NoneType",
        "identical",
    ),
    "data raises": ({"data": "def data(self): raise OSError(2, 'no [/] file')"}, "no [/] file", ""),
    "data of tuples": (data("(X, Y)"), "train must be Examples, got tuple", "identical"),
    "data of arrays": (data("Examples(X.numpy(), Y)"), "inputs of train must be a tensor", "ident"),
    "data of no dimension": (
        data("Examples(X.sum(), Y)"),
        "got one without dimensions",
        "identical",
    ),
    "unequal lengths": (data("Examples(X, Y[:-1])"), "got 39 for 40", "agree in length"),
    "an array in a tree": (
        data("Examples({'a': X, 'b': (X.numpy(),)}, Y)"),
        "inputs['b'][0] of train must be a tensor whose first axis is the examples, got ndarray",
        "identical",
    ),
    "none in a tree": (
        data("Examples({'a': X, 'mask': None}, Y)"),
        "inputs['mask'] of train must be a tensor whose first axis is the examples, got None; ",
        "identical",
    ),
    "sparse rows": (data("Examples(X.to_sparse(), Y)"), "convert it with to_dense()", "identical"),
    "short integers": (
        data("Examples(X, Y.to(torch.uint16))"),
        "got one of torch.uint16, which torch draws no batches from; convert it to torch.int32",
        "identical",
    ),
    "unequal lengths in a tree": (
        data("Examples(X, Y)", "Examples({'a': X, 'b': X[1:]}, Y)"),
        "validation must have one row per example in every tensor, got 39 for 40 in inputs['b']",
        "agree in length",
    ),
    "an empty tree": (data("Examples({}, Y)"), "inputs of train must hold a tensor, got an", "id"),
    "NaN in a tree": (
        data("Examples(X, [Y, X * math.nan])"),
        "targets[1] of train must be finite, got NaN or infinity in 40 of 40 examples",
        "identical",
    ),
    "no training": (data("Examples(X[:0], Y[:0])"), "train must hold examples", "agree in length"),
    "no validation": (
        data("Examples(X, Y)", "Examples(X[:0], Y[:0])"),
        "validation must hold examples, got none",
        "agree in length",
    ),
    "NaN in training": (
        data("Examples(X.index_fill(0, torch.tensor([1, 5]), math.nan), Y)"),
        "inputs of train must be finite, got NaN or infinity in 2 of 40 examples",
        "identical",
    ),
    "infinite targets": (data("Examples(X, Y / 0)"), "targets of train must be finite", "identi"),
    "model none": (model("None"), "must return a torch.nn.Module, got NoneType", "models follow"),
    "model class": (model("nn.Linear"), "must return a torch.nn.Module, got type", "models follow"),
    "model of nothing": (
        model("nn.Identity()"),
        "must have parameters that require a gradient",
        "models follow",
    ),
    "model frozen": (model("nn.Linear(2, 2).requires_grad_(False)"), "must have parameters", "m"),
    "model of other inputs": (model("nn.Linear(3, 2)"), "shapes cannot be multiplied", "loss is"),
    "loss none": (
        loss("None"),
        "finite number in a tensor before training, got None",
        "loss is a finite mean",
    ),
    "loss a number": (
        loss("1.0"),
        "finite number in a tensor before training, got 1.0",
        "loss is a finite mean",
    ),
    "loss of a vector": (loss(LOGITS), "got shape", "loss is a finite mean"),
    "loss nan": (loss(f"{LOGITS}.sum() * math.nan"), "got nan", "loss is a finite mean"),
    "loss a sum": (loss(f"{LOGITS}.exp().sum()"), None, "loss is a finite mean"),
    "loss raises": (loss("[][1]"), "IndexError", "loss is a finite mean"),
    "loss of other arguments": (loss("0", "self, model"), "TypeError", "loss is a finite mean"),
    "error above 1": (error("torch.tensor(7.0)"), "must be a fraction from 0 to 1, got 7", "error"),
    "error negative": (error("torch.tensor(-7.0)"), "fraction from 0 to 1, got -7", "error is"),
    "error a truth": (error("torch.tensor(True)"), "one finite number in a tensor", "error is a"),
    "error at target": (error("torch.tensor(0.05)"), "below the error before", "below the start"),
    "error raises": (error("1 / 0"), "ZeroDivisionError", "error is a finite mean"),
    "hyperparameters a list": (declared("[1]"), "must be a mapping by name, got [1]", None),
    "hyperparameter a number": (declared("{'s': 1}"), "must give default and low", None),
    "hyperparameter outside": (
        declared("{'s': {'default': 3.0, 'low': 0.0, 'high': 1.0}}"),
        "must have its default in [0, 1)",
        None,
    ),
    "hyperparameter unknown": (
        declared("{'t': {'default': 0.0, 'low': 0.0}}"),
        "loss must take 't'",
        None,
    ),
    "hyperparameter taken": (
        declared("{'lr': {'default': 0.0, 'low': 0.0}}"),
        "loss must take 'lr'",
        None,
    ),
    "defaults a list": ({"more": "study_defaults = [1]"}, "study_defaults must be a mapping", None),
    "defaults of unknown keys": (
        {"more": "study_defaults = {'race': {'slak': 1}}"},
        "in the workload's study_defaults: race.slak is not a key",
        None,
    ),
    "defaults of no range": (
        {"more": "study_defaults = {'search': {'space': {'lr': {'low': 1, 'high': 0}}}}"},
        "in the workload's study_defaults: search.space.lr: `low` must be less than",
        None,
    ),
    "lanes that raise": ({"more": "def lanes(self, setup): raise KeyError(1)"}, "KeyError: 1", "b"),
    "lanes of nothing": ({"more": "def lanes(self, setup): return None"}, "AttributeError", "belo"),
    "file that exits": ({"file": "sys.exit('bye')"}, "must import, got SystemExit: bye", None),
    "file that raises": ({"file": "raise ValueError('\\x1b[2J[/]')"}, "ValueError: \\x1b[2J", None),
    "file that is none": ({"file": "class Mine(:"}, "must import, got SyntaxError", None),
}


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command on a workload of changed members; return exit code, output and errors.

    The exit code is 0 where a sweep would have begun.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr("study.commands.running._sweep_one", lambda *_: True)
    monkeypatch.setattr(ResultsFolder, "locked", lambda _: nullcontext())
    monkeypatch.setattr(contract, "_TRAINING_STEPS", 3)
    numbers = count()

    def command(verb, members):
        before = set(Path().iterdir())
        changed = {name: code for name, code in members.items() if name != "file"}
        body = "".join(f"    {code}\n" for code in (MEMBERS | changed).values())
        file = Path(f"mine{next(numbers)}.py")
        file.write_text(FILE.format(file=GIVEN + members.get("file", ""), body=body))
        monkeypatch.setattr(sys, "argv", ["batchscale", verb, f"{file}:Mine"])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        file.unlink(missing_ok=True)
        assert set(Path().iterdir()) == before
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert "\x1b" not in out + err
        return code, out, err

    return command


def test_a_workload_without_a_fault_is_accepted(run):
    assert run("sweep", {})[0] == 0
    assert run("check", {})[0] == 0


@pytest.mark.parametrize(("members", "message", "clause"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_workload_is_refused_in_words(run, members, message, clause):
    code, _, err = run("sweep", members)
    if message is not None:
        assert (code, err[:7]) == (2, "error: "), err
        assert message in err
        assert len(err.splitlines()) <= 2
    code, out, err = run("check", members)
    if clause is not None:
        assert code == 1, err
        assert any(clause in line for line in out.splitlines() if line.startswith("FAIL")), out


def test_one_mistake_gives_one_message(run):
    code, out, _ = run("check", FAULTS["data none"][0])
    assert code == 1
    assert out.count("data() must return a Data") == 1
    assert out.count("as above, data are identical on two calls") >= 5


SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
KINDS = st.sampled_from(["float32", "float64", "bfloat16", "int64", "uint8", "bool", "complex64"])
FILLED = st.sampled_from(["0", "1", "-1", "math.nan", "math.inf", "1e30"])


@st.composite
def tensors(draw):
    shape, kind, value = draw(SHAPES), draw(KINDS), draw(FILLED)
    if kind in {"int64", "uint8", "bool"}:
        value = "1"
    return f"torch.full({shape}, {value}).to(torch.{kind})"


ANYTHING = tensors() | st.sampled_from(
    ["None", "3", "'text'", "[]", "{}", "X", "Y", "X[0]", "nn.Linear(2, 2)", "1 / 0", "self", "..."]
)
BUILT = st.one_of(
    st.builds(lambda x, y: data(f"Examples({x}, {y})"), ANYTHING, ANYTHING),
    st.builds(lambda x, y: data("Examples(X, Y)", f"Examples({x}, {y})"), ANYTHING, ANYTHING),
    st.builds(lambda x: {"data": f"def data(self): return {x}"}, ANYTHING),
    st.builds(model, ANYTHING),
    st.builds(loss, ANYTHING),
    st.builds(error, ANYTHING),
    st.builds(lambda x: {"target": f"target = {x}"}, ANYTHING.filter(lambda x: x != "self")),
    st.builds(lambda x: {"more": f"study_defaults = {x}"}, st.from_regex(r"\{('a': )?[1-9]\}")),
)


@given(members=BUILT)
@tried(max_examples=60)
def test_no_return_value_of_a_workload_causes_a_traceback(run, members):
    torch.manual_seed(0)
    code, _, err = run("sweep", members)
    assert code in {0, 2}
    assert code == 0 or err.startswith("error: ")
