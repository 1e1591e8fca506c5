"""Seeds: all randomness of a study follows from (study seed, batch size, trial, role)."""

from collections.abc import Mapping
from zlib import crc32

import numpy as np
import torch

from study.records import Point, Role, Source

_SEED_BITS = 63  # fits the int64 column of the tables


def derive_seed(*path: int | str) -> int:
    """Return a seed, 0 to 2^63 - 1, for a path of strings and numbers >= 0.

    Different paths give independent seeds.

    >>> derive_seed(0, 64, 3, "search") == derive_seed(0, 64, 3, "search")
    True
    """
    entropy = [crc32(part.encode()) if isinstance(part, str) else part for part in path]
    word = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
    return int(word) >> (64 - _SEED_BITS)


def seeded_point(
    study_seed: int,
    batch_size: int,
    trial: int,
    role: Role,
    values: Mapping[str, float],
    source: Source | None = None,
) -> Point:
    """Return a point with the seed of its trial."""
    seed = derive_seed(study_seed, batch_size, trial, str(role))
    return Point(trial=trial, seed=seed, values=values, role=role, source=source)


def generator(seed: int, stream: str) -> torch.Generator:
    """Return a CPU generator for one stream ("order", "init", ...) of a trial's randomness."""
    return torch.Generator().manual_seed(derive_seed(seed, stream))
