"""The models of several lanes, as whatever trains and measures them sees them."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from study.optimizers import ParameterTensors, Step
from workloads.workload import Examples


class Networks(Protocol):
    """The models of several lanes.

    Attributes:
        parameters: all trainable parameters, shape (lanes, parameters); updated in place.
        supports_cuda_graph: whether a step consists of kernel launches only.
    """

    parameters: Tensor
    supports_cuda_graph: bool

    @property
    def statistics(self) -> list[Tensor]:
        """Floating-point buffers that training may change, as views, each (lanes, ...)."""

    @property
    def described(self) -> ParameterTensors:
        """A model's parameter tensors, in their order in `parameters`."""

    def gradients(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradients (lanes, parameters) and losses (lanes,) on batches (lanes, B)."""

    def step(
        self,
        update: Step,
        buffers: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
        indices: Tensor,
    ) -> Tensor:
        """Take one update in every lane; return the losses before it, (lanes,)."""

    def evaluate(self, examples: Examples, lanes: Tensor | None = None) -> Tensor:
        """Return mean loss, error and further quantities of some lanes on shared examples.

        The shape is (2 + further quantities, lanes).
        """

    def buffers(self, lane: int) -> dict[str, Tensor]:
        """Return copies of the buffers of a lane that training may change, by name."""

    def keep(self, lanes: Tensor) -> None:
        """Keep the lanes of these indices, in this order."""

    def state(self) -> dict[str, Tensor]:
        """Return everything that training changes."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state of the same lanes."""
