import pytest
import torch

from study.config.space import Range
from study.optimizers import OPTIMIZERS, Step
from study.optimizers.parameters import tensors_of_shapes

TENSORS = tensors_of_shapes(((2, 2), (2,)))


def middle(entry):
    return entry.default.at(0.5) if isinstance(entry.default, Range) else entry.default


def taken(optimizer, flat, values, gradient=None, steps=12):
    step = Step.of(optimizer, TENSORS, values)
    buffers = optimizer.zeros(flat, TENSORS)
    for number in range(steps):
        step.prepare(number, flat, buffers, values)
        step(flat, torch.ones_like(flat) if gradient is None else gradient.clone(), buffers, values)


def columns_of(name, lr):
    known = {n: middle(entry) for n, entry in OPTIMIZERS[name].hyperparameters.items()}
    columns = {n: torch.full((len(lr), 1), value) for n, value in known.items()}
    return columns | {"lr": torch.tensor(lr)[:, None]}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_lane_depends_only_on_its_own_hyperparameters(name):
    optimizer = OPTIMIZERS[name]
    start, values = torch.ones(2, 6), columns_of(name, [0.5, 0.0])
    taken(optimizer, start, values, steps=2)
    alone = torch.ones(1, 6)
    taken(optimizer, alone, {key: column[1:] for key, column in values.items()}, steps=2)
    assert torch.equal(start[1], alone[0])
    assert (start[0] < 1).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_diverging_lane_leaves_the_others_unchanged(name):
    optimizer = OPTIMIZERS[name]
    values = columns_of(name, [0.01, 0.01]) | {"clip_norm": torch.ones(2, 1)}
    moved = []
    for bad in (1.0, torch.inf, torch.nan):
        flat, gradient = torch.ones(2, 6), torch.full((2, 6), 0.3)
        gradient[1] = bad
        taken(optimizer, flat, values, gradient)
        moved.append(flat[0])
    assert torch.equal(moved[0], moved[1])
    assert torch.equal(moved[0], moved[2])


def test_clipping_and_decay_that_a_study_does_not_name_are_left_out():
    sgd = OPTIMIZERS["sgd"]
    assert set(sgd.optional) == {"weight_decay", "clip_norm"}
    assert set(OPTIMIZERS["adamw"].optional) == {
        "clip_norm",
        "beta1_half_life",
        "beta2_half_life",
        "weight_decay_time",
    }
    assert "weight_decay_time" not in OPTIMIZERS["lamb"].optional  # its decay is in the trust ratio
    plain, both = (Step.of(sgd, TENSORS, named) for named in (["lr"], ["lr", *sgd.optional]))
    assert (plain.clips, plain.decays) == (False, False)
    assert (both.clips, both.decays) == (True, True)
    decays = Step.of(OPTIMIZERS["adamw"], TENSORS, ["lr", "weight_decay"]).decays
    assert not decays  # the decay of AdamW is decoupled


def test_equal_steps_find_the_same_trace():
    one, same = (Step.of(OPTIMIZERS["lamb"], TENSORS, ["lr"]) for _ in range(2))
    assert {one: "trace"}[same] == "trace"
    assert one != Step.of(OPTIMIZERS["lamb"], tensors_of_shapes(((3, 2),)), ["lr"])
    assert one != Step.of(OPTIMIZERS["lamb"], TENSORS, ["lr", "clip_norm"])


def test_a_scalar_tensor_counts_as_a_vector_of_one():
    assert Step.of(OPTIMIZERS["sgd"], tensors_of_shapes(((), (2,))), []).described[0].shape == (1,)
