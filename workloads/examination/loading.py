"""A workload's data, and whether every call returns the same."""

import time

import torch

from workloads.contract import data_are_identical_on_two_calls, require
from workloads.examination.authors import OURS
from workloads.examination.reads import Reads
from workloads.randomness import drawn, states
from workloads.soundness import sound_data
from workloads.workload import Data, Workload

_QUICK_SECONDS = 0.5
"""Data that load within this time are loaded a second time and compared."""


def first_data(workload: Workload) -> Data:
    """Return the data of a workload; load them twice and compare if a second call may differ.

    It may if the author's code draws random numbers, or reads a clock or a seed of the system. A
    comparison detects more than that, so it is made whenever it costs next to nothing.
    """
    cpu = torch.device("cpu")
    before, began = states(cpu), time.monotonic()
    with Reads(files=False) as reads:
        data = sound_data(workload.data())
    ours = type(workload).__module__.partition(".")[0] in OURS
    quick = not ours and time.monotonic() - began < _QUICK_SECONDS
    if quick or reads.found or drawn(before, states(cpu)) is not None:
        require(lambda: data_are_identical_on_two_calls(workload, data))
    return data
