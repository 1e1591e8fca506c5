"""Workers forked from this process, which start at once because they inherit all imports.

Ray needs ten seconds to start its own processes and to repeat the imports in each of them. Small
studies end before that.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

import torch

from study.orchestration.dispatch import Dispatch
from study.orchestration.signals import SIGNALS, Stop
from study.orchestration.worker import Report, Worker
from study.records import Cohort, Lap

SAVING_SECONDS = 20.0
"""Time that cohorts have to save themselves or to end."""
_WAIT_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class _Forked:
    """A worker process, the cohort that it trains and how far that is; None while it is idle."""

    process: ForkProcess
    connection: Connection
    cohort: Cohort | None = None
    began: float = 0.0
    lap: Lap | None = None


class ForkedWorkers:
    """The workers of a sweep as child processes of this one; Linux on CPUs only."""

    def __init__(self, dispatch: Dispatch, worker: Worker, count: int, stop: Stop) -> None:
        """Start no process yet; each one gets `worker` with this sweep's own `stopping`."""
        self._dispatch, self._worker, self._count, self._stop = dispatch, worker, count, stop
        self._context = multiprocessing.get_context("fork")
        self._stopping = self._context.Event()
        self._workers: list[_Forked] = []

    def run(self, leave: Callable[[], bool]) -> bool:
        """Train cohorts until none is left, a stop is requested, or `leave` returns True.

        Cohorts in training then have some seconds to be saved or to end; others train again later.

        Returns:
            Whether training ended because `leave` returned True.
        """
        left = False
        try:
            while not left and not self._stop.requested:
                if not self._hand_out():
                    break
                self._take_back()
                left = leave()
            self._end(quietly=left)
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()
        return left and not self._stop.requested

    def laps(self) -> list[Lap]:
        """Return the latest reports on the cohorts in training; safe in another thread."""
        return [lap for worker in list(self._workers) if (lap := worker.lap) is not None]

    def _hand_out(self) -> bool:
        """Give idle workers a cohort each; return whether any cohort is in training."""
        while self._racing() < self._count and (cohort := self._dispatch.queue.take()) is not None:
            worker = next((w for w in self._workers if w.cohort is None), None) or self._fork()
            worker.cohort, worker.began = cohort, time.monotonic()
            with contextlib.suppress(OSError):  # it died while idle: `_take_back` will notice
                worker.connection.send(cohort)
        return self._racing() > 0

    def _racing(self) -> int:
        return sum(worker.cohort is not None for worker in self._workers)

    def _take_back(self, *, quietly: bool = False) -> None:
        """Pass cohorts that ended to the dispatch; wait a moment if there are none.

        `quietly` drops the notes on checkpoints, which are about to be resumed.
        """
        waiting = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(waiting), timeout=_WAIT_SECONDS):
            worker = waiting[connection]  # type: ignore[index]  # a connection was given
            try:
                message: Report | Lap | None = worker.connection.recv()
                if isinstance(message, Lap | None):
                    worker.lap = message
                    continue
                report: Report | None = message
            except (EOFError, OSError):  # the process has ended
                report = None
                self._workers.remove(worker)
                worker.process.join()
            if report is not None and report.saved and quietly:
                report = replace(report, notes=())
            if worker.cohort is not None:
                cohort, worker.cohort = worker.cohort, None
                self._dispatch.ended(cohort, report, worker.began)

    def _end(self, *, quietly: bool) -> None:
        """Give the cohorts in training some seconds to save themselves or to end."""
        if not self._racing():
            return
        self._dispatch.close()
        self._stopping.set()
        since = time.monotonic()
        while self._racing() and time.monotonic() - since < SAVING_SECONDS:
            self._take_back(quietly=quietly)

    def _fork(self) -> _Forked:
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=_work,
            args=(there, self._worker, self._stopping.is_set, os.getpid()),
            daemon=True,
        )
        with warnings.catch_warnings():
            # Python warns about other threads: they draw the progress, and the child needs none
            warnings.filterwarnings(
                "ignore", message=".*multi-threaded", category=DeprecationWarning
            )
            process.start()
        there.close()
        worker = _Forked(process, here)
        self._workers.append(worker)
        return worker


def _work(
    connection: Connection, worker: Worker, stopping: Callable[[], bool], parent: int
) -> None:
    """Train one cohort after another, until the parent ends this process."""
    _detach_from_terminal()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before that call
        return
    torch.set_num_threads(1)  # results must not depend on the number of workers per core

    def report_lap(lap: Lap | None) -> None:
        with contextlib.suppress(OSError):  # a parent that died must not fail the trial
            connection.send(lap)

    own = replace(worker, stopping=stopping, report_lap=report_lap)
    while True:
        connection.send(own.train(connection.recv(), socket.gethostname()))


def _detach_from_terminal() -> None:
    """Leave signals to the parent, which says when to save, and print nothing."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        # not SIG_IGN, which processes started by a worker would inherit
        signal.signal(number, lambda *_: None)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    # the objects may write elsewhere than to the descriptors, as in a notebook
    sys.stdout = sys.stderr = os.fdopen(null, "w")
