"""Side effects of a workload, observed by calling it a few times as training will.

Training may run lanes together as one traced program, measure in portions, and resume from a file.
That is correct only if loss, error and model compute from their arguments, parameters and buffers
alone. `observe` returns every other effect, and refuses those that no mode of training could honor.
"""

import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from workloads.errors import WorkloadError
from workloads.examination.authors import watch
from workloads.examination.first_call import FirstCall
from workloads.examination.operations import RefuseBroadcasting, Writes
from workloads.examination.parameters import (
    held_by,
    hooked,
    keeps,
    refuse_common,
    refuse_interference,
    refuse_views,
)
from workloads.examination.python_state import CACHED, UNSEEN, Snapshot, changed, snapshot
from workloads.examination.reads import Reads
from workloads.examination.values import digest
from workloads.randomness import drawn, forked, seed_all, states
from workloads.soundness import augmented, copied, gradient, quantities, sound_number
from workloads.trees import named_leaves
from workloads.workload import Examples, Workload

_SEEDS = (0, 1)
_PASSES = 3
_REMEDY = "keep it as an attribute or a buffer of the model, of which each trial has its own"


@dataclass(frozen=True, slots=True)
class Observation:
    """What training and measuring change besides parameters, and draw besides batches."""

    # a member of the model, not a parameter, that changes in training or differs between models;
    # only buffers can share a trace
    state: str | None = None
    buffer: bool = False  # whether only buffers change, which a checkpoint contains
    draws: str | None = None  # names of the generators that training draws from
    measure_draws: str | None = None  # names of the generators that a measurement draws from
    # what it does to a parameter that a trace would lose, such as a hook on its gradient, in words
    touches: str | None = None

    @property
    def resumable(self) -> bool:
        """Whether a checkpoint needs only parameters, buffers and generators."""
        return self.state is None or self.buffer

    @property
    def may_pack(self) -> bool:
        """Whether the only effects are buffers, and draws from torch in training."""
        others = self.measure_draws or self.touches
        return self.draws in {None, "torch"} and self.resumable and not others

    def words(self) -> list[str]:
        """Return a phrase for each effect."""
        phrases = {
            f"{self.state} changes while it trains, or differs between models": self.state,
            f"training draws random numbers from {self.draws}": self.draws,
            f"measuring draws random numbers from {self.measure_draws}": self.measure_draws,
            str(self.touches): self.touches,
        }
        return [phrase for phrase, effect in phrases.items() if effect]


def observe(
    workload: Workload, make: Callable[[int], nn.Module], train: Examples, validation: Examples
) -> Observation:
    """Return the side effects of a workload on copies of a few examples.

    `make` returns a new model for a seed, on the device of the examples. A workload that cannot be
    trained in any mode is refused, for example one with a zero gradient.
    """
    with forked(train.tensors[0].device), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from the author's code; each trial would repeat them
        return _Observer(workload, make).observed(train, validation)


class _Observer:
    """Two models of a workload: one that is called, and one that must stay unchanged."""

    def __init__(self, workload: Workload, make: Callable[[int], nn.Module]) -> None:
        watch(workload)
        self._workload, self._make = workload, make
        self._called, self._other = (make(seed).train() for seed in _SEEDS)
        refuse_common(self._called, self._other)
        refuse_views(self._called)
        self._writes = Writes(dict(self._called.named_parameters()))
        self._reads = Reads()

    def observed(self, train: Examples, validation: Examples) -> Observation:
        """Train and measure a few times; return the effects."""
        seed_all(0)
        differing = _first(changed(snapshot(model=self._called), snapshot(model=self._other)))
        state, buffer, draws = self._while_training(train)
        measure_draws = self._while_measuring(validation)
        written = [f"the model writes into parameter {name}" for name in self._writes.found]
        return Observation(
            touches=hooked(self._called) or _first(written),
            state=buffer or state or differing,
            buffer=buffer is not None and state is None and differing is None,
            draws=draws,
            measure_draws=measure_draws,
        )

    def _while_training(self, train: Examples) -> tuple[str | None, str | None, str | None]:
        """Return a Python member and a buffer that training changes, and generators it uses."""
        device = train.tensors[0].device
        own, held = snapshot(model=self._called), held_by(self._called)
        shared: Snapshot = {}
        buffers, generators = _buffers(self._called), states(device)
        largest, first = 0.0, FirstCall(self._workload)
        for number in range(_PASSES):
            # the first call may read a file, and import modules
            with self._reads if number else nullcontext():
                largest = max(largest, self._gradient(train))
            if number == 0:  # it may also fill a cache
                first.require_constant(partial(self._train_on_others, train))
                shared = self._shared()
                now = snapshot(model=self._called)
                own = {**{path: now[path] for path in now if CACHED in path}, **own}
        self._reads.refuse()
        _refuse_shared(changed(shared, self._shared()))
        if not keeps(self._called, held):
            raise WorkloadError(
                "a model must keep its parameters, whose memory training shares, but replaces "
                "them; write into them, for example p.data.clamp_() in place of p.data = ..."
            )
        if largest == 0:
            raise WorkloadError(
                "the gradient of the loss must not be zero in every parameter, got 0 in "
                f"{_PASSES} passes; compute the loss from the model's output, without detach(), "
                "item(), argmax or torch.no_grad()"
            )
        members = changed(own, snapshot(model=self._called))
        _refuse_switch(members)
        after = _buffers(self._called)
        written, random = changed(buffers, after), drawn(generators, states(device))
        if after.keys() != buffers.keys():  # a new model lacks a buffer that a checkpoint has
            return _first(members) or _first(written), None, random
        return _first(members), _first(written), random

    def _gradient(self, train: Examples) -> float:
        """Take a training pass; return the largest element of the gradient."""
        trainable = [p for p in self._called.parameters() if p.requires_grad]
        with torch.enable_grad(), RefuseBroadcasting(train.size), self._writes:
            batch = augmented(self._workload, copied(train))
            loss = self._workload.loss(self._called, batch)
            sound_number("loss", loss)
            if not loss.requires_grad:
                return 0.0
            refuse_interference(self._called, trainable)
            pieces = gradient(loss.float(), trainable)
        return max(float(piece.abs().max()) for piece in pieces if piece.numel())

    def _train_on_others(self, train: Examples, workload: Workload) -> None:
        """Call a workload on a new model and as many examples, half of which are different."""
        others = train.rows(torch.arange(train.size) // 2)
        with torch.enable_grad():
            workload.loss(self._make(_SEEDS[0]).train(), augmented(workload, others))

    def _while_measuring(self, validation: Examples) -> str | None:
        """Return the generators that measuring uses."""
        device = validation.tensors[0].device
        self._called.eval()
        try:
            given, kept = copied(validation), copied(validation)
            self._measure(given, kept)
            shared, before, generators = self._shared(), self._everything(), states(device)
            with self._reads:
                self._measure(given, kept)
            self._reads.refuse()
            random = drawn(generators, states(device))
            member = _first(changed(before, self._everything()))
            _refuse_shared(changed(shared, self._shared()))
        finally:
            self._called.train()
        if member is not None:
            raise WorkloadError(
                "a measurement must leave the model as it is, since the number of measurements "
                f"depends on the study: {member} changes while `loss` and `error` are computed in "
                "evaluation mode; change it only `if self.training`"
            )
        return random

    def _shared(self) -> Snapshot:
        other = {**snapshot(model=self._other), **_buffers(self._other)}
        return {**snapshot(workload=self._workload), **other}

    def _everything(self) -> Snapshot:
        """Return what a measurement may not change: of the parameters, those that were written."""
        parameters = dict(self._called.named_parameters())
        written = {f"parameter {name}": parameters[name] for name in self._writes.found}
        return {**snapshot(model=self._called), **_buffers(self._called), **_contents(written)}

    def _measure(self, validation: Examples, kept: Examples) -> None:
        further = partial(quantities, self._workload)
        for measure in (self._workload.loss, self._workload.error, further):
            writes = Writes(dict(named_leaves(validation)))
            watched = RefuseBroadcasting(validation.size)
            with torch.no_grad(), watched, self._writes, writes:
                measure(self._called, validation)
            _refuse_written(validation, kept, writes.found)


def _buffers(model: nn.Module) -> Snapshot:
    return _contents({f"buffer {name}": buffer for name, buffer in model.named_buffers()})


def _contents(named: Mapping[str, Tensor]) -> Snapshot:
    return {name: (tuple(t.shape), t.dtype, digest(t)) for name, t in named.items()}


def _first(paths: list[str]) -> str | None:
    return min(paths, default=None)


def _refuse_shared(paths: list[str]) -> None:
    paths = [path for path in paths if path != UNSEEN]
    if paths:
        raise WorkloadError(
            "what all trials share must not change while one trains or is measured, since the "
            f"result would depend on which trials ran before: {_first(paths)} changes; {_REMEDY}"
        )


def _refuse_switch(paths: list[str]) -> None:
    switched = [path for path in paths if path.endswith(".training")]
    if switched:
        raise WorkloadError(
            f"`loss` must not switch the model between training and evaluation, got a change of "
            f"{switched[0]}; leave train() and eval() to batchscale"
        )


def _refuse_written(given: Examples, kept: Examples, written: list[str]) -> None:
    now, before = (dict(named_leaves(examples)) for examples in (given, kept))
    for name in {**before, **now}:
        same = name in now and name in before and now[name].dtype == before[name].dtype
        if not same or name in written or not torch.equal(now[name], before[name]):
            raise WorkloadError(
                f"the validation {name.removeprefix('.')} must stay as they are, but `loss`, "
                "`error`, `quantities` or the model writes into them, and the next measurement "
                "would see other data; compute a new tensor, such as x = x - 0.5 in place of "
                "x.sub_(0.5), and a new dict"
            )
