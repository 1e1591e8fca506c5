"""Admission: whether a workload's lanes may be packed, tested by training two of them both ways.

The traced program of a pack keeps tensor operations only. So two lanes take a few steps packed and
looped, with the objects that training uses, and must agree. Workloads that are known to differ, as
by Python state or random draws, are looped without a test.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from study.config.sections import Precision
from study.engine.networks import Networks
from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import LoadedWorkload, fresh_model, load
from study.errors import cause
from study.optimizers import Step, optimizer_named
from study.seeding import generator
from workloads.contract import models_follow_the_seed, require
from workloads.errors import WorkloadError
from workloads.examination.direction import learn
from workloads.examination.means import require_portions, sound_mean
from workloads.examination.samples import few, with_extremes
from workloads.randomness import forked, seed_all
from workloads.soundness import copied, gradient, quantity, sound_error, sound_number
from workloads.testing import Clause
from workloads.workload import Examples, Workload

_CLAUSE = "lanes train as they would alone"
_SEEDS = (0, 1)
_STEPS = 4
_BATCH = 5
_STEP_SIZE = 0.01
"""Length of a lane's first update relative to its parameters."""
_TOLERANCE = {Precision.FLOAT32: 5e-3, Precision.TF32: 5e-3, Precision.BF16: 0.2}
"""Allowed distance between packed and looped lanes, relative to how far the lane has moved."""
_PORTION = 512
"""Number of examples that are measured at once and in portions."""
_REPEATABLE = 1e-6
_LEARNT = 0.1
"""Fraction of the initial loss down to which a model learns, so that its outputs differ."""
_ALIKE = {Precision.FLOAT32: 1e-4, Precision.TF32: 1e-4, Precision.BF16: 0.1}


def admit(
    loaded: LoadedWorkload, loss_values: Mapping[str, float] | None = None, *, learns: bool = True
) -> str:
    """Return the reason to loop a workload's lanes; empty if they may be packed.

    Args:
        loaded: the workload, on a CPU.
        loss_values: hyperparameters of its loss for the trial steps.
        learns: whether a model is small enough to learn a few examples here.

    Raises:
        WorkloadError: a measurement is neither a mean over examples nor declared `whole`, an error
            is not a fraction, models do not follow the seed, or two runs from one seed differ.
    """
    model = fresh_model(loaded, 0)
    _require_means(loaded, model.eval(), with_extremes(loaded.data.validation))
    if learns:  # an untrained model may give one answer only, for which F1 looks like a mean
        some = few(loaded.data.train).to(loaded.device)
        with forked(loaded.device):
            seed_all(0)
            learn(loaded.workload, model, some, _LEARNT)
        _require_means(loaded, model.eval(), some)
    _require_portions(loaded)
    _require_one_output(loaded)
    require(lambda: models_follow_the_seed(loaded.workload))
    training = _Training(loaded, loss_values or {})
    looped = training.looped()
    if training.looped().distance_to(looped) > _REPEATABLE:
        raise WorkloadError(
            f"two trainings from one seed must agree, got different parameters within {_STEPS} "
            "steps; model and loss may depend only on their arguments, on the model's own "
            "generators, and on the seeded global ones of torch, numpy and random"
        )
    _require_plain_gradients(loaded)
    return _reason_to_loop(loaded, training, looped)


def clause(workload: Workload) -> Clause:
    """Return the admission of a workload as a clause of `batchscale check`."""
    try:
        reason = admit(load(workload, torch.device("cpu")))
    except Exception as error:  # noqa: BLE001 - whatever the workload raises is reported
        why = str(error) if isinstance(error, WorkloadError) else cause(error)
        return Clause(name=_CLAUSE, passed=False, detail=why)
    return Clause(name=_CLAUSE, passed=True, detail=f"looped: {reason}" if reason else "packed")


def _require_means(loaded: LoadedWorkload, model: nn.Module, some: Examples) -> None:
    with torch.no_grad():
        error = loaded.workload.error(model, copied(some))
    sound_error(loaded.workload.target, sound_number("error", error))
    if loaded.whole or loaded.observed.measure_draws is not None:
        return
    sound_mean("loss", loaded.workload.loss, model, some)
    sound_mean("error", loaded.workload.error, model, some)
    for name in loaded.quantities:
        sound_mean(name, quantity(loaded.workload, name), model, some)


def _require_portions(loaded: LoadedWorkload) -> None:
    if loaded.whole or loaded.observed.measure_draws is not None:
        return
    model, names = fresh_model(loaded, 0).eval(), ("loss", "error", *loaded.quantities)

    def measured(examples: Examples) -> dict[str, float]:
        with torch.no_grad():
            return dict(zip(names, map(float, loaded.measured(model, examples)), strict=True))

    require_portions(
        measured, loaded.data.validation.rows(slice(_PORTION)), _ALIKE[loaded.precision]
    )


def _require_plain_gradients(loaded: LoadedWorkload) -> None:
    """Refuse a model whose gradients by autograd.grad() and by backward() differ."""
    batch = few(loaded.data.train).to(loaded.device)
    model, other = (fresh_model(loaded, 0).train() for _ in range(2))
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with forked(loaded.device), torch.enable_grad():
        seed_all(0)
        pieces = gradient(loaded.loss(model, copied(batch)), list(trained.values()))
        seed_all(0)
        loaded.loss(other, copied(batch)).backward()  # type: ignore[no-untyped-call]
    size = float(torch.cat([piece.flatten() for piece in pieces]).norm())
    for name, piece in zip(trained, pieces, strict=True):
        written = other.get_parameter(name).grad
        apart = float((piece if written is None else piece - written.to_dense()).norm())
        if apart > _ALIKE[loaded.precision] * (size + float(piece.norm())):
            raise WorkloadError(
                "training uses autograd.grad(), which must give the gradient of backward(), but "
                f"they differ in parameter {name}; for torch.utils.checkpoint set "
                "use_reentrant=False, and let no custom backward() write into .grad"
            )


def _require_one_output(loaded: LoadedWorkload) -> None:
    """Refuse a loss or error that changes when both share a forward pass, as in a sweep."""
    if loaded.observed.measure_draws is not None:
        return
    model, some = fresh_model(loaded, 0).eval(), few(loaded.data.validation)
    # one by one, because errors of several examples may agree by chance
    parts = [some] if loaded.whole else [some.rows(slice(n, n + 1)) for n in range(some.size)]
    measures = {"loss": loaded.workload.loss, "error": loaded.workload.error}
    for part in parts:
        with torch.no_grad():
            alone = [float(measure(model, part)) for measure in measures.values()]
            shared = loaded.measured(model, part)
        for name, one, other in zip(measures, alone, shared, strict=False):
            if not math.isclose(one, float(other), rel_tol=_ALIKE[loaded.precision], abs_tol=1e-6):
                raise WorkloadError(
                    "`loss` and `error` share the model's output for equal arguments, so they must "
                    f"not change what it computes, but the {name} is {one:.6g} alone and "
                    f"{float(other):.6g} with a shared output; pass an argument to forward() "
                    "instead of setting an attribute"
                )


def _reason_to_loop(loaded: LoadedWorkload, training: "_Training", looped: "_Trained") -> str:
    if not loaded.data.held:
        return "its training examples are loaded batch by batch"
    reasons = loaded.observed.words()
    if not loaded.observed.may_pack:
        return "; ".join(reasons)
    try:
        if training.packed().distance_to(looped) <= _TOLERANCE[loaded.precision]:
            return ""
        reasons += ["a pack of its lanes trains or measures differently from each lane alone"]
    except Exception as error:  # noqa: BLE001 - vmap raises many types; the loop still works
        reasons += [f"vmap does not support it: {cause(error)}"]
    return "; ".join(reasons)


@dataclass(frozen=True, slots=True)
class _Trained:
    """The lanes after each of a few steps: their displacement and measurements."""

    moved: Tensor  # parameters less their start, shape (steps, lanes, parameters)
    measured: Tensor  # loss, error and others on a few examples, shape (steps, 2 + others, lanes)

    def distance_to(self, other: "_Trained") -> float:
        """Return the maximum distance, relative to the displacement or measurement of `other`."""
        if not torch.equal(self.measured.isfinite(), other.measured.isfinite()):
            return math.inf
        apart = (self.moved - other.moved).norm(dim=-1) / other.moved.norm(dim=-1).clamp_min(1e-30)
        gap = (self.measured - other.measured).abs() / other.measured.abs().clamp_min(1e-3)
        relative = torch.cat([apart.flatten(), gap.flatten()])
        return float(relative.nan_to_num(nan=0.0, posinf=0.0).max())


class _Training:
    def __init__(self, loaded: LoadedWorkload, loss_values: Mapping[str, float]) -> None:
        self._loaded, self._values = loaded, dict(loss_values)
        self._rate = self._learning_rate(self._looped(_SEEDS[0]))

    def packed(self) -> _Trained:
        values = {name: np.full(len(_SEEDS), value) for name, value in self._values.items()}
        pack = PackedNetworks(self._loaded, _SEEDS, values)
        with torch.no_grad():
            pack.evaluate_apart(few(self._loaded.data.validation))
        return self._trained([pack])

    def looped(self) -> _Trained:
        return self._trained([self._looped(seed) for seed in _SEEDS])

    def _looped(self, seed: int) -> LoopedNetwork:
        values = {name: np.array([value]) for name, value in self._values.items()}
        return LoopedNetwork(self._loaded, seed, values)

    def _learning_rate(self, network: LoopedNetwork) -> float:
        gradient, _ = network.gradients(self._batch(0)[:1])
        length = float(torch.linalg.vector_norm(gradient))
        size = float(torch.linalg.vector_norm(network.parameters)) or 1.0
        return _STEP_SIZE * size / length if 0 < length < math.inf else _STEP_SIZE

    def _trained(self, packs: Sequence[Networks]) -> _Trained:
        """Take the steps and measure after each; packs take turns, as in a cohort."""
        start = torch.cat([pack.parameters.clone() for pack in packs])
        some = few(self._loaded.data.validation)
        moved, measured = [], []
        for step in range(_STEPS):
            batches = torch.split(self._batch(step), [len(pack.parameters) for pack in packs])
            for pack, indices in zip(packs, batches, strict=True):
                rates = np.full(len(pack.parameters), self._rate)
                update = Step.of(optimizer_named("sgd"), pack.described, {"lr": rates})
                column = torch.from_numpy(rates).to(pack.parameters).unsqueeze(1)
                with torch.no_grad():
                    pack.step(update, {}, {"lr": column}, indices)
            moved.append(torch.cat([pack.parameters for pack in packs]) - start)
            measured.append(torch.cat([pack.evaluate(some) for pack in packs], dim=1))
        return _Trained(torch.stack(moved), torch.stack(measured).double())

    def _batch(self, step: int) -> Tensor:
        """Return the indices of a batch for each lane, shape (lanes, examples)."""
        examples = self._loaded.data.train.size
        shape = (len(_SEEDS), min(_BATCH, examples))
        return torch.randint(examples, shape, generator=generator(step, "admission"))
