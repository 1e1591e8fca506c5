"""The model of one lane in plain torch, for models that vmap does not support."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from study.engine.networks.training import (
    Layout,
    LoadedWorkload,
    copy_into,
    fresh_model,
    untrained_tensors,
)
from study.optimizers import Step
from study.records import Floats
from study.seeding import derive_seed
from workloads.errors import WorkloadError
from workloads.examination.parameters import FREEZING
from workloads.randomness import forked, seed_all, set_states, states
from workloads.soundness import gradient
from workloads.workload import Examples


class LoopedNetwork:
    """A model whose parameters are views of one flat vector.

    Update rules therefore work on it as on packed lanes, here with shape (1, parameters).
    """

    supports_cuda_graph = False  # the host reads and sets random states between steps

    def __init__(
        self, loaded: LoadedWorkload, seed: int, loss_values: Mapping[str, Floats] | None = None
    ) -> None:
        """Build the model of a seed; `loss_values` are hyperparameters of the loss, each (1,)."""
        self._loaded = loaded
        self._model = fresh_model(loaded, seed).train()
        layout = Layout(self._model)
        self.described = layout.described
        self.parameters = layout.flatten(self._model).unsqueeze(0)
        self._loss_values = {
            name: torch.from_numpy(values).to(self.parameters)[0]
            for name, values in (loss_values or {}).items()
        }
        parameters = dict(self._model.named_parameters())
        for name, values in layout.unflatten(self.parameters[0]).items():
            parameters[name].data = values
        self._trained = [parameters[name] for name in layout.names]
        self._frozen = [p for name, p in parameters.items() if name not in layout.names]
        self._evaluation_seed = derive_seed(seed, "evaluation")
        with forked(loaded.device):
            seed_all(derive_seed(seed, "model"))
            self._random_states = states(loaded.device)

    def gradients(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradient (1, parameters) and loss (1,) on the batch of indices (1, B)."""
        with self._own_randomness(), torch.enable_grad():
            batch = self._loaded.batch(indices[0])
            loss = self._loaded.loss(self._model, batch, **self._loss_values)
            trainable = all(p.requires_grad for p in self._trained)
            if not trainable or any(p.requires_grad for p in self._frozen):
                raise WorkloadError(f"{FREEZING}, got a change of it")
            pieces = gradient(loss, self._trained)
        flat = torch.cat([piece.reshape(-1) for piece in pieces])
        return flat.unsqueeze(0), loss.detach().unsqueeze(0)

    def step(
        self,
        update: Step,
        buffers: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
        indices: Tensor,
    ) -> Tensor:
        """Take one update; return the loss before it, (1,). Shapes as in `PackedNetworks`."""
        gradients, loss = self.gradients(indices)
        update(self.parameters, gradients, buffers, values)
        return loss

    def evaluate(self, examples: Examples, lanes: Tensor | None = None) -> Tensor:
        """Return mean loss, error and further quantities on the examples, (2 + further, 1)."""
        self._model.eval()
        with self._evaluation_randomness(), torch.no_grad():
            measured = torch.stack(self._loaded.measured(self._model, examples))
        self._model.train()
        return measured.unsqueeze(1)

    @property
    def statistics(self) -> list[Tensor]:
        """Buffers that training may change, such as batch statistics, each (1, ...)."""
        buffers = self._model.buffers()
        return [buffer.unsqueeze(0) for buffer in buffers if buffer.is_floating_point()]

    def buffers(self, lane: int) -> dict[str, Tensor]:
        """Return copies of the tensors that the optimizer does not train, by name."""
        return {name: tensor.clone() for name, tensor in untrained_tensors(self._model).items()}

    def keep(self, lanes: Tensor) -> None:
        """Do nothing: the only lane is kept, or dropped together with this object."""

    def state(self) -> dict[str, Tensor]:
        """Return parameters, buffers such as batch statistics, and states of random generators."""
        # a model may write into frozen parameters too, such as a teacher's
        buffers = {
            f"buffer {name}": tensor for name, tensor in untrained_tensors(self._model).items()
        }
        random = {f"random {name}": state for name, state in self._random_states.items()}
        return {"parameters": self.parameters, **buffers, **random}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state of the same lane."""
        copy_into(self.parameters, state["parameters"])
        for name, tensor in untrained_tensors(self._model).items():
            copy_into(tensor, state[f"buffer {name}"])
        self._random_states = {name: state[f"random {name}"] for name in self._random_states}

    @contextlib.contextmanager
    def _own_randomness(self) -> Iterator[None]:
        if self._loaded.observed.draws is None:
            yield
            return
        device = self._loaded.device
        with forked(device):
            set_states(device, self._random_states)
            yield
            self._random_states = states(device)

    @contextlib.contextmanager
    def _evaluation_randomness(self) -> Iterator[None]:
        if self._loaded.observed.measure_draws is None:
            yield
            return
        with forked(self._loaded.device):
            seed_all(self._evaluation_seed)  # the same draws at every measurement of the lane
            yield
