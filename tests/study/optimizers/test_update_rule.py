import pytest
import torch

from study.config.space import Range
from study.optimizers import OPTIMIZERS, Step

SHAPES = ((2, 2), (2,))


def middle(entry):
    return entry.default.at(0.5) if isinstance(entry.default, Range) else entry.default


def columns_of(name, lr):
    known = {n: middle(entry) for n, entry in OPTIMIZERS[name].hyperparameters.items()}
    columns = {n: torch.full((len(lr), 1), value) for n, value in known.items()}
    return columns | {"lr": torch.tensor(lr)[:, None]}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_lane_is_moved_by_its_own_hyperparameters_alone(name):
    rule = OPTIMIZERS[name]
    start, gradient = torch.ones(2, 6), torch.ones(2, 6)
    values = columns_of(name, [0.5, 0.0])
    Step.of(rule, SHAPES, values)(start, gradient, rule.zeros(start), values)
    assert torch.equal(start[1], torch.ones(6))
    assert (start[0] < 1).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_lane_that_diverges_harms_no_other(name):
    rule = OPTIMIZERS[name]
    values = columns_of(name, [0.01, 0.01]) | {"clip_norm": torch.ones(2, 1)}
    moved = []
    for bad in (1.0, torch.inf, torch.nan):
        flat, gradient = torch.ones(2, 6), torch.full((2, 6), 0.3)
        gradient[1] = bad
        Step.of(rule, SHAPES, values)(flat, gradient, rule.zeros(flat), values)
        moved.append(flat[0])
    assert torch.equal(moved[0], moved[1])
    assert torch.equal(moved[0], moved[2])


def test_what_is_not_named_is_left_out_of_the_step():
    sgd = OPTIMIZERS["sgd"]
    assert set(sgd.optional) == {"weight_decay", "clip_norm"}
    assert set(OPTIMIZERS["adamw"].optional) == {"clip_norm"}
    plain, both = (Step.of(sgd, SHAPES, named) for named in (["lr"], ["lr", *sgd.optional]))
    assert (plain.clips, plain.decays) == (False, False)
    assert (both.clips, both.decays) == (True, True)
    decays = Step.of(OPTIMIZERS["adamw"], SHAPES, ["lr", "weight_decay"]).decays
    assert not decays  # its own decay is no coupled one


def test_equal_steps_find_the_same_program():
    one, same = (Step.of(OPTIMIZERS["lamb"], SHAPES, ["lr"]) for _ in range(2))
    assert {one: "program"}[same] == "program"
    assert one != Step.of(OPTIMIZERS["lamb"], ((3, 2),), ["lr"])
    assert one != Step.of(OPTIMIZERS["lamb"], SHAPES, ["lr", "clip_norm"])


def test_a_tensor_without_axes_is_one_of_one_number():
    assert Step.of(OPTIMIZERS["sgd"], ((), (2,)), []).shapes == ((1,), (2,))
