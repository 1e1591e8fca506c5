"""The global random generators that a model may draw from: torch's, numpy's and Python's."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the generators that code on a device may use, as tensors by name."""
    version, words, gauss = random.getstate()
    numpys: Any = np.random.get_state()  # noqa: NPY002 - models use the global one
    current = {
        "torch": torch.get_rng_state(),
        "numpy.random": torch.tensor(numpys[1].astype(np.int64)),
        "numpy.random position": torch.tensor(numpys[2:], dtype=torch.float64),
        "random": torch.tensor([version, *words]),
        "random position": torch.tensor(
            [np.nan if gauss is None else gauss], dtype=torch.float64
        ).view(torch.int64),  # NaN is equal to itself as an integer
    }
    if device.type == "cuda":
        current["torch.cuda"] = torch.cuda.get_rng_state(device)
    return current


def set_states(device: torch.device, saved: Mapping[str, Tensor]) -> None:
    """Set the generators to states that `states` returned."""
    torch.set_rng_state(saved["torch"])
    position, has_gauss, gauss = saved["numpy.random position"].tolist()
    key = saved["numpy.random"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", key, int(position), int(has_gauss), gauss))  # noqa: NPY002
    version, *words = saved["random"].tolist()
    own = float(saved["random position"].view(torch.float64))
    random.setstate((version, tuple(words), None if np.isnan(own) else own))
    if device.type == "cuda":
        torch.cuda.set_rng_state(saved["torch.cuda"], device)


def seed_all(seed: int) -> None:
    """Seed every global generator, with `seed` in 0 to 2^63 - 1."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - as above
    random.seed(seed)


def drawn(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> str | None:
    """Return the names of the generators that advanced between two `states`; None for none."""
    differing = [name for name in before if not torch.equal(before[name], after[name])]
    return " and ".join(dict.fromkeys(n.removesuffix(" position") for n in differing)) or None


@contextmanager
def forked(device: torch.device) -> Iterator[None]:
    """Restore the global generators when the context ends."""
    before = states(device)
    try:
        yield
    finally:
        set_states(device, before)
