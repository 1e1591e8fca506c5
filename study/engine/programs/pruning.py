"""Pruning of a cohort of programs, which do not train in lockstep: a rung waits for all of them.

A trial is compared by its last measurement at or before the rung, whatever it reported later, so
which trials are dropped does not depend on which ran first.
"""

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from study.engine.outcomes import Run
from study.engine.programs.saved import write
from study.engine.stopping_rules import PATIENCE, Standing, StoppingRules, survivors


class Pruning:
    """The trials of a cohort that its rungs have dropped, in a file that outlives its worker."""

    def __init__(self, rules: StoppingRules, count: int, path: Path) -> None:
        """Continue from an earlier process's judgement of these rungs; the file need not exist."""
        self._rungs, self._levels, self._path, self._judged = rules.rungs, rules.rungs, path, 0
        # a first cohort, whose rungs may drop every trial that would reach the target
        if rules.expected_steps is not None and rules.best_steps is None:
            self._levels = (*rules.rungs, PATIENCE * rules.expected_steps)
        # step of the rung at which a trial was dropped, by its index in the cohort
        self.dropped: dict[int, float] = {}
        # indices of all trials, the best at the last rung first
        self.order: list[int] = list(range(count))
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            saved = json.loads(path.read_text(encoding="utf-8"))
            if saved["levels"] == list(self._levels) and len(saved["order"]) == count:
                self.dropped = {int(lane): rung for lane, rung in saved["dropped"].items()}
                self.order, self._judged = list(saved["order"]), saved["judged"]

    @property
    def level(self) -> float:
        """Step that all trials must pass before any continues; infinite after the last level."""
        return self._levels[self._judged] if self._judged < len(self._levels) else math.inf

    def is_settled(self, steps: int) -> bool:
        """Return whether a trial at the target after `steps` can no longer be dropped."""
        return self._judged >= len(self._rungs) or steps <= self._rungs[self._judged]

    def judge(self, runs: Sequence[Run], rules: StoppingRules) -> None:
        """Judge the level that every trial has passed, unless it was dropped or ended before."""
        if rules.cap <= self.level:  # no trial runs that far
            self._judged = len(self._levels)
        elif self._judged < len(self._rungs):
            self._drop(runs, rules.target)
            self._judged += 1
        else:
            if not any(self._reached(lane, run, rules.target) for lane, run in enumerate(runs)):
                self.dropped = {}
            self._judged += 1
        saved = {"levels": self._levels, "judged": self._judged}
        write(self._path, json.dumps(saved | {"dropped": self.dropped, "order": self.order}))

    def cut(self, lane: int, run: Run) -> Run:
        """Return the run of a trial up to the rung at which it was dropped, if it was."""
        if lane not in self.dropped:
            return run
        rows = int((run.curve.step <= self.dropped[lane]).sum())
        curve = run.curve.until(rows)
        return replace(run, curve=curve, diverged_at=None, finished=False, pruned=True)

    def _reached(self, lane: int, run: Run, target: float) -> bool:
        """Return whether a trial was at the target by the level."""
        # not whether it is by now: a trial may have run ahead while a slot was free
        seen = (run.curve.step > 0) & (run.curve.step <= self.level)
        return lane not in self.dropped and bool((run.curve.val_error[seen] < target).any())

    def _drop(self, runs: Sequence[Run], target: float) -> None:
        rung = self.level
        standings: list[Standing] = []
        done = unmeasured = 0
        for lane, run in enumerate(runs):
            curve = run.curve
            seen = (curve.step > 0) & (curve.step <= rung)
            if self._reached(lane, run, target):
                done += 1
            elif lane in self.dropped or not _lasted(run, rung):
                continue
            elif not seen.any():  # nothing to compare it by, so it stays, in addition to the best
                unmeasured += 1
            else:
                loss = float(curve.val_loss[seen][-1])
                # a program need not report a loss
                last = math.inf if math.isnan(loss) else loss
                standings.append((float(curve.val_error[seen].min()), last, lane))
        stay = survivors(standings, len(runs) - unmeasured, self._judged + 1, done)
        ranked = [lane for *_, lane in sorted(standings)]
        self.dropped |= {lane: rung for lane in ranked if lane not in stay}
        self.order = [*ranked, *sorted(set(self.order) - set(ranked))]


def _lasted(run: Run, rung: float) -> bool:
    """Return whether a trial was still in the race at a rung; one that failed before was not."""
    if run.diverged_at is not None:
        return run.diverged_at > rung
    return run.finished or bool(run.curve.step.size and run.curve.step[-1] >= rung)
