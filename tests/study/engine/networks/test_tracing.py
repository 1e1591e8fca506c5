"""A trace returns what its function returns."""

import pytest
import torch
from torch.func import grad, vmap

from study.engine.networks.tracing import compile_trace, trace

WEIGHTS = torch.randn(3, 8, 5, generator=torch.Generator().manual_seed(0))
INPUTS = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(1))


def classes(weights, inputs):
    return torch.log_softmax(torch.relu(inputs @ weights), dim=-1)


def gradient(weights, inputs):
    return vmap(grad(lambda w, x: classes(w, x)[:, 0].mean()))(weights, inputs)


def narrow_softmax_of_a_vector(weights, inputs):
    return torch.log_softmax(weights.flatten()[:5], dim=0)


def wide_softmax(weights, inputs):
    return torch.log_softmax(inputs.repeat(1, 1, 20), dim=-1)


def without_effect(weights, inputs):
    same = inputs.view(inputs.shape).expand(inputs.shape)
    return same.transpose(0, 1).transpose(1, 0)


def twice(weights, inputs):
    return (inputs * 2).relu() + (inputs * 2).relu()


def with_a_change_in_place(weights, inputs):
    first, second = torch.zeros_like(inputs), torch.zeros_like(inputs)
    first.add_(inputs)
    return first + second


def layer_of_few_classes(weights, inputs):
    """Return the loss and the classes of a last layer, whose logits are ten times 6 examples."""
    logits = weights[:, :1] + inputs.repeat(1, 10, 1) @ weights
    return torch.log_softmax(logits, dim=-1), logits.argmax(dim=-1)


def greatest_of_few_with_ties(weights, inputs):
    tied = inputs.repeat(1, 10, 1).round()
    infinite = torch.where(tied > 1, torch.inf, torch.where(tied < -1, -torch.inf, tied))
    unknown = torch.where(tied > 0, torch.nan, tied)
    return tuple(x.argmax(dim=-1) for x in (tied, infinite, unknown))


def factors_of_one(weights, inputs):
    return inputs * torch.ones_like(inputs), inputs * torch.ones_like(inputs[:1]) * 1


def factors_that_were_one(weights, inputs):
    factors, copies = torch.ones_like(inputs), inputs * 1
    factors[:, 0] = 3
    copies.add_(1)
    return inputs * factors, copies, inputs + 0


def classes_before_and_after_a_change(weights, inputs):
    logits = weights[:, :1] + inputs.repeat(1, 10, 1) @ weights
    first, before = torch.log_softmax(logits, dim=-1), logits.argmax(dim=-1)
    logits[:, :, 2] += 5
    return first, before, torch.log_softmax(logits, dim=-1), logits.argmax(dim=-1)


def outer_product(weights, inputs):
    return torch.bmm(inputs[:, :, :1], weights[:, :1])


FUNCTIONS = [
    layer_of_few_classes,
    greatest_of_few_with_ties,
    factors_of_one,
    factors_that_were_one,
    classes_before_and_after_a_change,
    outer_product,
    classes,
    gradient,
    narrow_softmax_of_a_vector,
    wide_softmax,
    without_effect,
    twice,
    with_a_change_in_place,
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_results_are_the_same_to_rounding(function):
    graph = trace(function, (WEIGHTS, INPUTS))
    compiled = compile_trace(graph, (WEIGHTS, INPUTS))
    for weights in (WEIGHTS, 2 * WEIGHTS):
        expected = function(weights, INPUTS)
        torch.testing.assert_close(graph(weights, INPUTS), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            compiled(weights, INPUTS), graph(weights, INPUTS), rtol=0, atol=0, equal_nan=True
        )


def operations(function):
    graph = trace(function, (WEIGHTS, INPUTS)).graph
    return [str(node.target) for node in graph.nodes if node.op == "call_function"]


def test_operations_without_effect_are_removed():
    assert operations(without_effect) == []
    assert operations(twice).count("aten.relu.default") == 1
    assert not any("mul" in name for name in operations(factors_of_one))


def test_a_layer_of_few_classes_is_computed_once_and_transposed():
    names = operations(layer_of_few_classes)
    assert "aten.argmax.default" not in names
    assert [names.count(f"aten.{name}.default") for name in ("bmm", "contiguous")] == [1, 1]


def test_a_softmax_over_few_classes_moves_to_the_other_axis():
    assert "aten.contiguous.default" in operations(classes)
    assert "aten.contiguous.default" not in operations(wide_softmax)


def test_equal_operations_are_not_shared_if_one_result_is_changed_in_place():
    assert operations(with_a_change_in_place).count("aten.zeros_like.default") == 2


def test_compiling_leaves_the_examples_unchanged():
    def change(state, step):
        state.add_(step)
        return state.sum()

    state, step = torch.zeros(3), torch.ones(3)
    compiled = compile_trace(change, (state, step))
    assert torch.equal(state, torch.zeros(3))
    compiled(state, step)
    assert torch.equal(state, torch.ones(3))
