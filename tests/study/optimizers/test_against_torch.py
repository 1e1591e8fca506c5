"""Update rules that torch has too take torch's steps, with its clipping and weight decay."""

import pytest
import torch

MOMENTUM = {"lr": [0.1, 0.02], "momentum": [0.9, 0.5]}
ADAM = {"lr": [0.1, 0.02], "beta1": [0.9, 0.0], "beta2": [0.999, 0.9], "eps": [1e-8, 0.1]}


def sgd(tensors, v, **form):
    keywords = {"momentum": v.get("momentum", 0.0), "weight_decay": v.get("weight_decay", 0.0)}
    return torch.optim.SGD(tensors, lr=v["lr"], **keywords, **form)


def rprop(tensors, v):
    """Rprop takes no weight decay in torch, so that it is added to the gradients here."""

    class Decaying(torch.optim.Rprop):
        def step(self):
            for tensor in tensors:
                tensor.grad = tensor.grad + v.get("weight_decay", 0.0) * tensor.detach()
            super().step()

    etas, sizes = (v["shrink"], v["grow"]), (v["least_step"], v["most_step"])
    return Decaying(tensors, lr=v["lr"], etas=etas, step_sizes=sizes)


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
        rprop,
        {
            "lr": [0.1, 0.02],
            "shrink": [0.5, 0.9],
            "grow": [1.2, 1.5],
            "least_step": [1e-6, 0.01],
            "most_step": [50.0, 0.03],
        },
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
