"""Update rules that torch has too take torch's steps, with its clipping and weight decay."""

from functools import partial

import pytest
import torch
from torch import nn

from study.optimizers import OPTIMIZERS, Step
from study.optimizers.parameters import parameter_tensors, tensors_of_shapes

MOMENTUM = {"lr": [0.1, 0.02], "momentum": [0.9, 0.5]}
ONE_STEP = {"max_iter": 1, "tolerance_grad": 0.0, "tolerance_change": 0.0}
ADAM = {"lr": [0.1, 0.02], "beta1": [0.9, 0.0], "beta2": [0.999, 0.9], "eps": [1e-8, 0.1]}


def sgd(tensors, v, **form):
    keywords = {"momentum": v.get("momentum", 0.0), "weight_decay": v.get("weight_decay", 0.0)}
    return torch.optim.SGD(tensors, lr=v["lr"], **keywords, **form)


def decaying(kind):
    """Return torch's class with a weight decay, which it has not, added to the gradients here."""

    class Decaying(kind):
        def __init__(self, tensors, weight_decay, **keywords):
            super().__init__(tensors, **keywords)
            self.tensors, self.decay = tensors, weight_decay

        def step(self):
            for tensor in self.tensors:
                tensor.grad = tensor.grad + self.decay * tensor.detach()
            super().step(*[lambda: 0.0] * (kind is torch.optim.LBFGS))

    return Decaying


def adam(kind, **names):
    return made(kind, names, lambda v: {"betas": (v["beta1"], v["beta2"])})


def made(kind, names, more=lambda v: {}):
    """Return a function that makes torch's optimizer; `names` maps its names to ours."""
    names = {"lr": "lr", "eps": "eps"} | names
    return lambda tensors, v: kind(
        tensors,
        weight_decay=v.get("weight_decay", 0.0),
        **{theirs: v[ours] for theirs, ours in names.items() if ours in v},
        **more(v),
    )


THEIRS = {
    "sgd": (sgd, {"lr": [0.1, 0.02]}),
    "asgd": (
        made(torch.optim.ASGD, {"lambd": "lambd", "alpha": "fall_power", "t0": "average_after"}),
        {
            "lr": [0.1, 0.02],
            "lambd": [1e-4, 0.5],
            "fall_power": [0.75, 0.5],
            "average_after": [1e6, 4.0],
        },
    ),
    "rprop": (
        made(
            decaying(torch.optim.Rprop),
            {},
            lambda v: {
                "etas": (v["shrink"], v["grow"]),
                "step_sizes": (v["min_step"], v["max_step"]),
            },
        ),
        {
            "lr": [0.1, 0.02],
            "shrink": [0.5, 0.9],
            "grow": [1.2, 1.5],
            "min_step": [1e-6, 0.01],
            "max_step": [50.0, 0.03],
        },
    ),
    "lbfgs": (
        made(decaying(torch.optim.LBFGS), {"history_size": "history_size"}, lambda v: ONE_STEP),
        {"lr": [0.1, 0.02], "history_size": [10, 3]},
    ),
    "heavy-ball": (sgd, MOMENTUM),
    "nesterov": (lambda tensors, v: sgd(tensors, v, nesterov=True), MOMENTUM),
    "adam": (adam(torch.optim.Adam), ADAM),
    "adamw": (adam(torch.optim.AdamW), ADAM | {"weight_decay": [0.1, 0.0]}),
    "nadam": (
        adam(torch.optim.NAdam, momentum_decay="momentum_decay"),
        ADAM | {"momentum_decay": [0.004, 0.1]},
    ),
    "radam": (adam(torch.optim.RAdam), ADAM),
    "adamax": (adam(torch.optim.Adamax), ADAM),
    "adagrad": (made(torch.optim.Adagrad, {}), {"lr": [0.1, 0.02], "eps": [1e-10, 0.1]}),
    "rmsprop": (
        made(torch.optim.RMSprop, {"alpha": "beta2", "momentum": "momentum"}),
        MOMENTUM | {"beta2": [0.99, 0.5], "eps": [1e-8, 0.1]},
    ),
    "adadelta": (
        made(torch.optim.Adadelta, {"rho": "beta2"}),
        {"lr": [1.0, 10.0], "beta2": [0.9, 0.5], "eps": [1e-6, 0.1]},
    ),
    "adafactor": (
        lambda tensors, v: torch.optim.Adafactor(
            tensors,
            lr=v["lr"],
            beta2_decay=-v["decay_power"],
            d=v["clip_threshold"],
            weight_decay=v["weight_decay"],
        ),
        {
            "lr": [0.3, 0.02],  # above 1 / sqrt(t) from the 12th step on
            "decay_power": [0.8, 0.5],
            "clip_threshold": [1.0, 1.5],
            "weight_decay": [0.1, 0.0],
        },
    ),
}
EXTRAS = {
    "plain": {},
    "decay": {"weight_decay": [0.3, 0.01]},
    "clipping": {"clip_norm": [1.0, 100.0]},
    "both": {"weight_decay": [0.3, 0.01], "clip_norm": [1.0, 4.0]},
    "clipping off in one lane": {"clip_norm": [1.0, 0.0]},
}
SINGLY = [("nesterov", name) for name in ("decay", "clipping", "clipping off in one lane")]
"""Clipping and decay come before the rule, whichever it is."""


@pytest.mark.parametrize(
    ("name", "extras"),
    [*((name, extras) for name in THEIRS for extras in ("plain", "both")), *SINGLY],
)
def test_an_update_rule_takes_the_steps_of_torch(setting, name, extras):
    make, values = THEIRS[name]
    made = setting(name, **values | EXTRAS[extras])
    ours, averages = made.moved() if name == "asgd" else (made.moved(), [])
    for lane in range(2):
        own, tensors, gradients = made.lane(lane)
        for tensor in tensors:
            tensor.requires_grad_()
        theirs = make(tensors, own)
        for step, rate in zip(gradients, made.rates, strict=True):
            for tensor, gradient in zip(tensors, step, strict=True):
                tensor.grad = gradient
            if own.get("clip_norm"):
                torch.nn.utils.clip_grad_norm_(tensors, own["clip_norm"])
            theirs.param_groups[0]["lr"] = rate * own["lr"]
            theirs.step()
        measured = [theirs.state[tensor]["ax"] for tensor in tensors] if averages else []
        pairs = zip([*ours, *averages], [*tensors, *measured], strict=True)
        for one, other in pairs:
            # torch keeps a product of NAdam and the rate of ASGD in single precision
            torch.testing.assert_close(one[lane], other.detach(), rtol=1e-6, atol=1e-8)


def on_flat(name, lanes, tensors, values):
    """Return a step on lanes of parameters, and its buffers and hyperparameters."""
    optimizer = OPTIMIZERS[name]
    columns = {name: lanes.new_tensor(column)[:, None] for name, column in values.items()}
    buffers = optimizer.zeros(lanes, tensors)
    return partial(Step.of(optimizer, tensors, values), buffers=buffers, values=columns)


def test_lbfgs_takes_the_steps_of_torch_on_quadratics_that_fill_its_history():
    values = {"lr": [0.5, 1.0], "history_size": [10.0, 4.0]}
    curvatures = torch.logspace(-2, 1, 30, dtype=torch.float64)
    lanes = torch.linspace(-1, 1, 30, dtype=torch.float64).repeat(2, 1)
    rest = 20  # a step without gradient is none, and teaches nothing
    theirs = []
    for lane in range(2):
        own = {name: value[lane] for name, value in values.items()} | ONE_STEP
        tensor = lanes[lane].clone().requires_grad_()
        optimizer = torch.optim.LBFGS([tensor], **own | {"history_size": int(own["history_size"])})
        for number in range(25):
            tensor.grad = curvatures * tensor.detach() * (number != rest)
            optimizer.step(lambda: 0.0)
        theirs.append(tensor.detach())
    step = on_flat("lbfgs", lanes, tensors_of_shapes([(30,)]), values)
    for number in range(25):
        step(lanes, curvatures * lanes * (number != rest))
    torch.testing.assert_close(lanes, torch.stack(theirs), rtol=1e-6, atol=1e-8)


def test_sparse_adam_moves_the_rows_that_torch_moves():
    table = nn.Embedding(6, 3, dtype=torch.float64)
    tensors = parameter_tensors(nn.ModuleDict({"table": table}))
    lanes = table.weight.detach().flatten().repeat(2, 1)
    step = on_flat("sparse-adam", lanes, tensors, ADAM)
    read = [[0, 1, 1], [2], [0, 5], [1, 2], [0]]
    weights = torch.arange(1.0, 4.0, dtype=torch.float64)
    theirs = []
    for lane in range(2):
        own = {name: value[lane] for name, value in ADAM.items()}
        model = nn.Embedding.from_pretrained(table.weight.detach().clone(), False, sparse=True)
        betas = (own["beta1"], own["beta2"])
        optimizer = torch.optim.SparseAdam(model.parameters(), own["lr"], betas, own["eps"])
        for rows in read:
            optimizer.zero_grad()
            (model(torch.tensor(rows)).cos() * weights).sum().backward()
            optimizer.step()
        theirs.append(model.weight.detach().flatten())
    for rows in read:
        gradients = [
            torch.autograd.functional.jacobian(
                lambda w, rows=rows: (w.view(6, 3)[rows].cos() * weights).sum(), lane
            )
            for lane in lanes
        ]
        step(lanes, torch.stack(gradients))
    torch.testing.assert_close(lanes, torch.stack(theirs), rtol=1e-6, atol=1e-8)
    untouched = lanes.view(2, 6, 3)[:, 3:5]
    assert torch.equal(untouched, table.weight.detach()[3:5].expand(2, 2, 3))


def test_sparse_adam_is_adam_on_all_but_embeddings(setting):
    sparse, adam = (setting(name, **ADAM).moved() for name in ("sparse-adam", "adam"))
    assert all(torch.equal(one, other) for one, other in zip(sparse, adam, strict=True))
