"""Measure ways to compute the gradients of all lanes in a packed step, with their start-up costs.

vmap:          `vmap(grad_and_value(loss))` as written, with torch.func's dispatch at every step.
traced:        the operations that it runs, called one by one from Python.
tidied:        traced without no-ops (`study.engine.networks.tracing.trace`).
compiled:      tidied, run by torch's own interpreter, as the engine does
               (`study.engine.networks.tracing.compile_trace`).
torch.compile: the same function compiled to C++, which needs a compiler on the machine.

`first` is the time until the first result for a new number of lanes and batch size, after one for
another number of lanes. It matters because a race lasts about a second and has several numbers of
lanes, at each batch size of a study. One thread, digits, one process.
Not measured: the optimizer's update, drawing and gathering batches.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from study.engine.networks.tracing import compile_trace, trace
from study.engine.networks.training import Computation, Layout, LoadedWorkload, fresh_model
from study.planning.resolve import resolve
from tests.benchmarks.measuring import (
    arguments,
    interleaved,
    number,
    positives,
    progress,
    show,
    spread,
    write_json,
)
from workloads.workload import Examples

Inputs = tuple[Tensor, ...]
Gradients = Callable[..., Any]


def gradients_of(training: LoadedWorkload) -> Gradients:
    """Return a torch.func function of the gradients and losses of all lanes on their batches."""
    model = fresh_model(training, 0).train()
    layout, computation = Layout(model), Computation(model, training.loss)

    def loss(flat: Tensor, *batch: Tensor) -> Any:
        return computation.on(layout.unflatten(flat), Examples(*batch))

    gradients: Gradients = vmap(grad_and_value(loss))
    return gradients


def inputs_for(training: LoadedWorkload, lanes: int, batch_size: int) -> Inputs:
    """Return the parameters and a batch of every lane."""
    models = [fresh_model(training, seed) for seed in range(lanes)]
    parameters = torch.stack([Layout(model).flatten(model) for model in models])
    train = training.data.train
    indices = torch.randint(len(train.inputs), (lanes, batch_size))
    return parameters, train.inputs[indices], train.targets[indices]


WAYS: dict[str, Callable[[Gradients, Inputs], Gradients]] = {
    "vmap": lambda function, inputs: function,
    "traced": lambda function, inputs: make_fx(function)(*inputs),
    "tidied": trace,
    "compiled": lambda function, inputs: compile_trace(trace(function, inputs), inputs),
    "torch.compile": lambda function, inputs: torch.compile(function, dynamic=False),
}


def first(way: str, function: Gradients, inputs: Inputs) -> tuple[Gradients, float]:
    """Return a program and the seconds until its first result."""
    began = time.perf_counter()
    program = WAYS[way](function, inputs)
    program(*inputs)
    return program, time.perf_counter() - began


def timed(program: Gradients, inputs: Inputs, seconds: float = 0.1) -> Callable[[], float]:
    """Return a function that times a step, averaged over some time."""
    for _ in range(3):
        program(*inputs)
    began = time.perf_counter()
    program(*inputs)
    steps = max(3, round(seconds / (time.perf_counter() - began)))

    def time_it() -> float:
        began = time.perf_counter()
        for _ in range(steps):
            program(*inputs)
        return (time.perf_counter() - began) / steps

    return time_it


def main() -> None:
    parser = arguments(__doc__, repeats=5)
    parser.add_argument("--lanes", type=positives, default=[16, 32], metavar="L,L,...")
    parser.add_argument("--batch-sizes", type=positives, default=[2, 64], metavar="B,B,...")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    _, training = resolve({"workload": "digits-mlp"})
    assert isinstance(training, LoadedWorkload)
    function = gradients_of(training)
    rows, measured = [], []
    with torch.no_grad():
        for way in chosen.ways:  # to exclude what a way does once per process
            first(way, function, inputs_for(training, 3, 5))
        for lanes, size in [(n, b) for n in chosen.lanes for b in chosen.batch_sizes]:
            progress(f"{lanes} lanes, batch size {size}")
            inputs = inputs_for(training, lanes, size)
            made = {way: first(way, function, inputs) for way in chosen.ways}
            cases = {way: timed(program, inputs) for way, (program, _) in made.items()}
            runs = interleaved(cases, chosen.repeats)
            for way in chosen.ways:
                step = [1e6 * seconds for seconds in runs[way]]
                rows.append([f"{lanes} x {size}", way, str(spread(step)), number(made[way][1])])
            measured.append(
                {
                    "lanes": lanes,
                    "batch_size": size,
                    "first": {way: seconds for way, (_, seconds) in made.items()},
                    "step": runs,
                }
            )
    show(
        "Gradients of all lanes, digits, one thread",
        ["lanes x batch size", "way", "a step, us", "first, s"],
        rows,
        f"Medians of {chosen.repeats} interleaved repeats (least to most).",
    )
    write_json(chosen, repeats=measured)


if __name__ == "__main__":
    main()
