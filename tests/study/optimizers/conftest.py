"""Rules run on made gradients: two lanes over tensors of every kind, in double precision."""

from dataclasses import dataclass

import pytest
import torch

from study.optimizers import OPTIMIZERS, Step

SHAPES = ((), (3,), (4, 3), (2, 3, 2, 2), (5,), (3, 2))
ZEROS = (4, 5)
"""Which of them are zero at the start."""


@dataclass(frozen=True)
class Setting:
    """What two lanes of one rule are run with, and the tensors that they move."""

    name: str
    values: dict
    start: list
    gradients: list
    rates: list

    def moved(self):
        """Gives each lane's tensors after all steps."""
        rule = OPTIMIZERS[self.name]
        step = Step.of(rule, SHAPES, self.values)
        flat = _flat(self.start)
        buffers = rule.zeros(flat)
        values = {
            name: torch.tensor(v, dtype=flat.dtype)[:, None] for name, v in self.values.items()
        }
        for gradients, rate in zip(self.gradients, self.rates, strict=True):
            step(flat, _flat(gradients), buffers, values | {"lr": rate * values["lr"]})
        sizes = [tensor[0].numel() for tensor in self.start]
        pieces = torch.split(flat, sizes, dim=1)
        return [p.view(t.shape) for p, t in zip(pieces, self.start, strict=True)]

    def lane(self, lane):
        """Gives one lane's hyperparameters, tensors at the start, and gradients of every step."""
        values = {name: column[lane] for name, column in self.values.items()}
        start = [tensor[lane].clone() for tensor in self.start]
        return values, start, [[g[lane].clone() for g in step] for step in self.gradients]


def _flat(tensors):
    return torch.cat([tensor.reshape(len(tensor), -1) for tensor in tensors], dim=1).clone()


@pytest.fixture(params=["constant", "scheduled"])
def setting(request):
    """Makes a setting of a rule from its hyperparameters, one value for each of two lanes."""
    steps = 8
    rates = [1.0] * steps if request.param == "constant" else [0.9**t for t in range(steps)]

    def make(name, **values):
        generator = torch.Generator().manual_seed(3)

        def draw():
            return [
                torch.randn(2, *shape, generator=generator, dtype=torch.float64) for shape in SHAPES
            ]

        start = draw()
        for index in ZEROS:
            start[index].zero_()
        gradients = [draw() for _ in range(steps)]
        for index in (1, 5):
            gradients[0][index].zero_()
        return Setting(name, values, start, gradients, rates)

    return make
