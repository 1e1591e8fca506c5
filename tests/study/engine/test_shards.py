import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.engine.data_order import ClientOrder
from study.engine.shards import dirichlet_shards, iid_shards, log_proportions

LABELS = torch.arange(600) % 5
SKEWED = torch.cat([torch.zeros(500), torch.ones(90), torch.full((10,), 7)]).long()


def proportions(shards, labels=LABELS):
    """Return each client's share of each class, (clients, classes)."""
    classes = labels.unique()
    return np.array([[float((labels[s] == c).double().mean()) for c in classes] for s in shards])


@given(
    st.integers(1, 60), st.integers(1, 60), st.floats(1e-6, 1e6), st.integers(1, 8), st.integers(0)
)
def test_shards_partition_the_training_set(examples, clients, alpha, classes, seed):
    clients = min(clients, examples)
    labels = torch.arange(examples) ** 2 % classes
    for shards in (
        iid_shards(examples, clients, seed),
        dirichlet_shards(labels, clients, alpha, seed),
    ):
        assert torch.equal(torch.cat(shards).sort().values, torch.arange(examples))
        sizes = [len(shard) for shard in shards]
        assert len(sizes) == clients
        assert max(sizes) - min(sizes) <= 1
        assert sum(ClientOrder([0], shards, 1, 1).shares) == pytest.approx(1)


def test_shards_depend_on_study_seed_and_number_of_clients():
    def sampled(clients, seed):
        cut = (iid_shards(600, clients, seed), dirichlet_shards(LABELS, clients, 0.3, seed))
        return [[shard.tolist() for shard in shards] for shards in cut]

    assert sampled(6, 3) == sampled(6, 3)
    for one, other in zip(sampled(6, 3), sampled(6, 4), strict=True):
        assert one != other


def test_iid_shards_have_the_proportions_of_the_training_set():
    found = proportions(iid_shards(len(SKEWED), 4, 0), SKEWED)
    np.testing.assert_allclose(found, np.tile([500, 90, 10], (4, 1)) / 600, atol=0.06)


def test_a_large_concentration_has_the_proportions_of_the_training_set():
    for labels, full in ((LABELS, np.full(5, 0.2)), (SKEWED, np.array([500, 90, 10]) / 600)):
        shards = dirichlet_shards(labels, 4, 1e6, 0)
        np.testing.assert_allclose(proportions(shards, labels), np.tile(full, (4, 1)), atol=0.1)


def test_a_small_concentration_has_one_class_per_client_while_it_lasts():
    shards = dirichlet_shards(LABELS, 20, 1e-6, 0)
    assert (proportions(shards).max(axis=1) == 1.0).all()
    # 7 shards of 86 from classes of 120: five have one class, two what those have left
    main = proportions(dirichlet_shards(LABELS, 7, 1e-6, 0)).max(axis=1)
    assert (main == 1.0).sum() == 5


@pytest.mark.parametrize("concentration", [[0.1, 0.3, 0.6], [2.0, 2.0, 2.0]])
def test_proportions_have_the_moments_of_the_dirichlet_distribution(concentration):
    """Mean p = a / A, variance p (1 - p) / (A + 1), A the sum of all concentrations."""
    random, a = np.random.default_rng(0), np.array(concentration)
    logs = np.array([log_proportions(random, a) for _ in range(4000)])
    sampled = np.exp(logs - logs.max(axis=1, keepdims=True))
    sampled /= sampled.sum(axis=1, keepdims=True)
    p = a / a.sum()
    np.testing.assert_allclose(sampled.mean(axis=0), p, atol=0.02)
    np.testing.assert_allclose(sampled.var(axis=0), p * (1 - p) / (a.sum() + 1), rtol=0.1)


def test_clients_differ_less_at_larger_concentrations():
    spread = [proportions(dirichlet_shards(LABELS, 10, a, 0)).std() for a in (0.1, 1.0, 10.0, 1e3)]
    assert spread == sorted(spread, reverse=True)


def test_the_last_client_is_not_left_with_the_leftovers():
    labels = torch.arange(1280) % 10
    found = [proportions(dirichlet_shards(labels, 64, 1e6, seed), labels) for seed in range(5)]
    by_chance = np.sqrt(0.1 * 0.9 / 20)
    assert np.std([each[-1] for each in found]) < 1.3 * by_chance
    assert np.std(found) < 1.1 * by_chance


def test_shares_are_sizes_over_all_examples():
    shards = [torch.arange(1), torch.arange(2), torch.arange(5)]
    assert ClientOrder([0], shards, 1, 1).shares == [0.125, 0.25, 0.625]
