"""Schedule-free rules against their authors' package, and against the equations of the paper."""

import pytest
import torch

SGD = {"lr": [0.5, 0.02], "interpolation": [0.9, 0.0]}
ADAMW = SGD | {"beta2": [0.999, 0.9], "eps": [1e-8, 0.1], "weight_decay": [0.3, 0.0]}
RULES = {"schedule-free-sgd": SGD | {"weight_decay": [0.3, 0.0]}, "schedule-free-adamw": ADAMW}


def of_the_paper(v, start, gradients, rates):
    """Return y and x after all steps."""
    base = average = start
    square, weights = torch.zeros_like(start), 0.0
    beta, adaptive = v["interpolation"], "beta2" in v
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        lr, y = rate * v["lr"], (1 - beta) * base + beta * average
        if adaptive:
            square = v["beta2"] * square + (1 - v["beta2"]) * gradient**2
            root = (square / (1 - v["beta2"] ** t)).sqrt()
            gradient = gradient / (root + v["eps"])
        base = base - lr * (gradient + v["weight_decay"] * y)
        weights += lr**2
        average = average + lr**2 / weights * (base - average)
    return (1 - beta) * base + beta * average, average


@pytest.mark.parametrize("name", RULES)
def test_a_rule_follows_the_equations_of_the_paper(setting, name):
    made = setting(name, **RULES[name])
    trained, measured = made.moved()
    for lane in range(2):
        own, start, gradients = made.lane(lane)
        for index, tensor in enumerate(start):
            y, x = of_the_paper(own, tensor, [step[index] for step in gradients], made.rates)
            torch.testing.assert_close(trained[index][lane], y, rtol=1e-9, atol=1e-11)
            torch.testing.assert_close(measured[index][lane], x, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("setting", ["constant"], indirect=True)
@pytest.mark.parametrize("name", RULES)
def test_a_rule_takes_the_steps_of_the_authors_package(setting, name):
    package = pytest.importorskip("schedulefree")
    made = setting(name, **RULES[name])
    trained, measured = made.moved()
    own, tensors, gradients = made.lane(0)  # the package cannot measure at interpolation 0
    keywords = {"lr": own["lr"], "weight_decay": own["weight_decay"], "foreach": False}
    if name == "schedule-free-sgd":
        theirs = package.SGDScheduleFree(tensors, momentum=own["interpolation"], **keywords)
    else:
        betas = (own["interpolation"], own["beta2"])
        theirs = package.AdamWScheduleFree(tensors, betas=betas, eps=own["eps"], **keywords)
    theirs.train()
    for step in gradients:
        for tensor, gradient in zip(tensors, step, strict=True):
            tensor.grad = gradient
        theirs.step()
    for ours, place in ((trained, theirs.train), (measured, theirs.eval)):
        place()
        for one, other in zip(ours, tensors, strict=True):
            torch.testing.assert_close(one[0], other, rtol=1e-9, atol=1e-11)
