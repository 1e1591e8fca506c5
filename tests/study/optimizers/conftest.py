"""Update rules run on random gradients: two lanes, tensors of every kind, double precision."""

from dataclasses import dataclass

import pytest
import torch

from study.optimizers import OPTIMIZERS, Step
from study.optimizers.parameters import tensors_of_shapes

SHAPES = ((), (3,), (4, 3), (2, 3, 2, 2), (5,), (3, 2))
ZEROS = (4, 5)
"""Places of the tensors that are zero at the start."""


@dataclass(frozen=True)
class Setting:
    """An update rule, and the hyperparameters, tensors and gradients of two lanes."""

    name: str
    values: dict
    start: list
    gradients: list
    rates: list

    def moved(self):
        """Return each lane's tensors after all steps, and their averages if the rule has some."""
        optimizer = OPTIMIZERS[self.name]
        step = Step.of(optimizer, tensors_of_shapes(SHAPES), self.values)
        flat = _flat(self.start)
        buffers = optimizer.zeros(flat, step.described)
        values = {
            name: torch.tensor(v, dtype=flat.dtype)[:, None] for name, v in self.values.items()
        }
        for number, rate in enumerate(self.rates):
            now = values | {"lr": rate * values["lr"]}
            step.prepare(number, flat, buffers, now)
            step(flat, _flat(self.gradients[number]), buffers, now)
        if optimizer.average is None:
            return self._tensors(flat)
        average = optimizer.average(step.between(flat, buffers, values))
        return self._tensors(flat), self._tensors(average)

    def _tensors(self, flat):
        sizes = [tensor[0].numel() for tensor in self.start]
        pieces = torch.split(flat, sizes, dim=1)
        return [p.view(t.shape) for p, t in zip(pieces, self.start, strict=True)]

    def lane(self, lane):
        """Return one lane's hyperparameters, initial tensors, and gradients of every step."""
        values = {name: column[lane] for name, column in self.values.items()}
        start = [tensor[lane].clone() for tensor in self.start]
        return values, start, [[g[lane].clone() for g in step] for step in self.gradients]


def _flat(tensors):
    return torch.cat([tensor.reshape(len(tensor), -1) for tensor in tensors], dim=1).clone()


@pytest.fixture(params=["constant", "scheduled"])
def setting(request):
    """Return a function that makes a setting from hyperparameters, one value per lane."""
    steps = 13
    rates = [1.0] * steps if request.param == "constant" else [0.9**t for t in range(steps)]

    def make(name, **values):
        generator = torch.Generator().manual_seed(3)

        def sample():
            return [
                torch.randn(2, *shape, generator=generator, dtype=torch.float64) for shape in SHAPES
            ]

        start = sample()
        for index in ZEROS:
            start[index].zero_()
        gradients = [sample() for _ in range(steps)]
        for index in (1, 5):
            gradients[0][index].zero_()
        return Setting(name, values, start, gradients, rates)

    return make
