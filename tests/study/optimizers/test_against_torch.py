"""Update rules that torch has too take torch's steps, with its clipping and weight decay."""

import pytest
import torch

MOMENTUM = {"lr": [0.1, 0.02], "momentum": [0.9, 0.5]}
ADAM = {"lr": [0.1, 0.02], "beta1": [0.9, 0.0], "beta2": [0.999, 0.9], "eps": [1e-8, 0.1]}


def sgd(tensors, v, **form):
    keywords = {"momentum": v.get("momentum", 0.0), "weight_decay": v.get("weight_decay", 0.0)}
    return torch.optim.SGD(tensors, lr=v["lr"], **keywords, **form)


def adam(kind):
    return lambda tensors, v: kind(
        tensors,
        lr=v["lr"],
        betas=(v["beta1"], v["beta2"]),
        eps=v["eps"],
        weight_decay=v.get("weight_decay", 0.0),
    )


THEIRS = {
    "sgd": (sgd, {"lr": [0.1, 0.02]}),
    "heavy-ball": (sgd, MOMENTUM),
    "nesterov": (lambda tensors, v: sgd(tensors, v, nesterov=True), MOMENTUM),
    "adam": (adam(torch.optim.Adam), ADAM),
    "adamw": (adam(torch.optim.AdamW), ADAM | {"weight_decay": [0.1, 0.0]}),
}
EXTRAS = {
    "plain": {},
    "decay": {"weight_decay": [0.3, 0.01]},
    "clipping": {"clip_norm": [1.0, 100.0]},
    "both": {"weight_decay": [0.3, 0.01], "clip_norm": [1.0, 4.0]},
    "clipping off in one lane": {"clip_norm": [1.0, 0.0]},
}


@pytest.mark.parametrize("extras", EXTRAS)
@pytest.mark.parametrize("name", THEIRS)
def test_an_update_rule_takes_the_steps_of_torch(setting, name, extras):
    make, values = THEIRS[name]
    made = setting(name, **values | EXTRAS[extras])
    ours = made.moved()
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
        for one, other in zip(ours, tensors, strict=True):
            torch.testing.assert_close(one[lane], other.detach(), rtol=1e-9, atol=1e-11)
