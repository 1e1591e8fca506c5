import torch

from study.records import Role
from study.seeding import derive_seed, generator, seeded_point


def test_seeds_differ_in_every_part_of_their_path():
    seeds = {
        seeded_point(study, size, trial, Role.SEARCH, {}).seed
        for study in range(3)
        for size in (1, 2, 64)
        for trial in range(20)
    }
    assert len(seeds) == 3 * 3 * 20


def test_seeds_stay_the_same_between_releases():
    assert derive_seed(0, 64, 3, "search") == 96140291208766493


def test_streams_of_one_seed_are_independent():
    order, init = (torch.randn(8, generator=generator(7, name)) for name in ("order", "init"))
    assert not torch.equal(order, init)
