import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from workloads.errors import WorkloadError
from workloads.models.lstm import LSTM, LSTMLayer
from workloads.models.transformer import CausalAttention, Transformer

MODELS = {
    "transformer": lambda: Transformer(symbols=16, context=6, width=8, layers=2, heads=2),
    "lstm": lambda: LSTM(symbols=16, width=8, layers=2),
}
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]], dtype=torch.uint8)


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    return MODELS[request.param]()


def test_logits_have_a_row_for_every_position(model):
    assert model(TOKENS).shape == (2, 6, 16)
    assert model(TOKENS[:, :4]).shape == (2, 4, 16)


@pytest.mark.parametrize("changed", range(6))
def test_a_later_token_changes_no_earlier_logit(model, changed):
    before, other = model(TOKENS), TOKENS.clone()
    other[:, changed] += 1
    after = model(other)
    assert torch.equal(before[:, :changed], after[:, :changed])
    assert not torch.equal(before[:, changed], after[:, changed])


def test_every_earlier_token_is_seen(model):
    for changed in range(6):
        other = TOKENS.clone()
        other[:, changed] += 1
        assert (model(TOKENS)[:, -1] != model(other)[:, -1]).any()


def test_gradients_of_several_models_can_be_packed(model):
    models = [
        model,
        type(model)(*((16, 6, 8, 2, 2) if hasattr(model, "positions") else (16, 8, 2))),
    ]
    parameters, buffers = stack_module_state(models)

    def loss(own, fixed):
        return functional_call(model, (own, fixed), (TOKENS,)).square().mean()

    packed = vmap(grad(loss))(parameters, buffers)
    for lane, alone in enumerate(models):
        alone.zero_grad()
        alone(TOKENS).square().mean().backward()
        for name, parameter in alone.named_parameters():
            torch.testing.assert_close(packed[name][lane], parameter.grad)


def test_parameter_counts_equal_those_by_hand():
    count = {name: sum(p.numel() for p in make().parameters()) for name, make in MODELS.items()}
    block = 4 * 8 * 8 + (8 * 32 + 32) + (32 * 8 + 8) + 2 * 2 * 8
    assert count["transformer"] == 16 * 8 + 6 * 8 + 2 * block + 2 * 8 + 8 * 16
    assert count["lstm"] == 16 * 8 + 2 * 4 * (8 * 8 + 8 * 8 + 8) + 8 * 16 + 16


def test_the_lstm_equals_torchs():
    ours, theirs = LSTMLayer(5, 7), nn.LSTM(5, 7, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.inward)
        theirs.weight_hh_l0.copy_(ours.recurrent)
        theirs.bias_ih_l0.copy_(ours.bias)
        theirs.bias_hh_l0.zero_()
    given = torch.randn(3, 6, 5)
    torch.testing.assert_close(ours(given), theirs(given)[0])


def test_the_attention_equals_torchs():
    ours = CausalAttention(8, 2)
    query, key, value = (
        part.view(2, 6, 2, 4).transpose(1, 2) for part in ours.inward(given()).chunk(3, dim=-1)
    )
    theirs = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(ours(given()), ours.outward(theirs.transpose(1, 2).reshape(2, 6, 8)))


def given():
    return torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transformer(16, 6, 8, 2, 3), "multiple of `heads`, got 8 and 3"),
        (lambda: Transformer(16, 6, 8, 0, 2), "`layers` must be an integer of at least 1, got 0"),
        (lambda: LSTM(16, 2.5, 1), r"`width` must be an integer of at least 1, got 2\.5"),
        (lambda: LSTM(16, 0, 1), "`width` must be an integer of at least 1, got 0"),
    ],
)
def test_invalid_sizes_are_refused(make, message):
    with pytest.raises(WorkloadError, match=message):
        make()
