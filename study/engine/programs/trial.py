"""One trial of a program: its files, its measurements so far, and how it ended."""

import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from study.config.study import ResolvedStudy
from study.engine.outcomes import Run
from study.engine.programs.breakdown import MAX_STARTS, broken_down
from study.engine.programs.environment import environment, placeholder_values
from study.engine.programs.measurements import BadLineError, Lines, Measurement, Reader
from study.engine.programs.process import Output, Process
from study.engine.programs.saved import End, Row, line_of, read_end, read_rows, write
from study.engine.stopping_rules import StoppingRules, plainly_diverged
from study.records import Cohort, Curve, Seconds
from workloads.command import Command

_CURVE, _ENDED, _KILLED = "curve.jsonl", "ended.json", "killed.json"
_OUTPUT, _ERRORS, _LOG = "output", "errors", "log.jsonl"
_REPORTS = {_OUTPUT: False, _LOG: True}
"""Files with measurements, and whether nothing else may be in them."""
SETTLE_SECONDS = 2.0
"""Time after which a program that broke down counts as failed: whatever kills a sweep, such as a
batch system, may kill the program first and this process next."""
_MAX_BYTES = 2**30
"""Size of a file that only a program printing without end exceeds."""
_PIECE = 2**20


class ProgramTrial:
    """A trial whose folder outlives this process: a later one continues where this one ended."""

    def __init__(self, command: Command, folder: Path, rules: StoppingRules) -> None:
        """Read what an earlier process left in the trial's own folder, which need not exist."""
        self._command, self._folder, self._rules = command, folder, rules
        self._rows: list[Row] = read_rows(folder / _CURVE)
        if (folder / _CURVE).exists():  # without an incomplete line, which the next would continue
            self._write_rows()
        self.end = read_end(folder / _ENDED)  # how it ended; None before
        self.killed = False  # whether it was asked to end and did not in time
        self.output = Output()  # what the program has printed since it was started here
        self.process: Process | None = None  # the program while it runs
        self._resumed = self._stopped = False
        self._reader, self._lines = Reader(command), {name: Lines() for name in _REPORTS}
        self._awaits_first = False  # whether it was started here and has not reported yet
        for name, only_json in _REPORTS.items():  # what it reported after its worker had died
            with contextlib.suppress(OSError, BadLineError):
                self._read_lines(self._lines[name].add((folder / name).read_bytes()), only_json)
        self._seconds = self._rows[-1][4] if self._rows else 0.0

    @property
    def step(self) -> int:
        """The last measured step; -1 before any."""
        return int(self._rows[-1][0]) if self._rows else -1

    @property
    def first_and_last(self) -> tuple[Row, ...]:
        """The first and the last measurement; empty before any."""
        return (self._rows[0], self._rows[-1]) if self._rows else ()

    def run(self) -> Run:
        """Return the measurements as the run of a lane."""
        total = self._rows[-1][4] if self._rows else 0.0
        end = self.end or End()
        return Run(
            curve=Curve.of_rows(self._rows, self._command.options.quantities),
            diverged_at=end.diverged_at,
            seconds=Seconds(total, total, 0.0),
            finished=end.finished,
        )

    def is_decided(self, rules: StoppingRules) -> bool:
        """Return whether nothing that the program could still report matters."""
        after = [row[3] for row in self._rows if row[0] > 0]
        reached = not rules.to_budget and any(error < rules.target for error in after)
        return reached or self.step >= min(rules.cap, rules.max_steps)

    def start(self, resolved: ResolvedStudy, cohort: Cohort, index: int, slot: int) -> None:
        """Start the program of a cohort's trial in a slot; one that does not start has failed."""
        checkpoint = self._folder / "checkpoint"
        self._resumed = checkpoint.is_dir() and any(checkpoint.iterdir())
        checkpoint.mkdir(parents=True, exist_ok=True)
        for name in (_OUTPUT, _ERRORS, _LOG):
            (self._folder / name).write_bytes(b"")
        self._files = {name: (self._folder / name).open("rb") for name in (_OUTPUT, _ERRORS, _LOG)}
        self._reader, self._lines = Reader(self._command), {name: Lines() for name in _REPORTS}
        self._begun = self._heard = time.monotonic()
        self._died: float | None = None
        values = placeholder_values(resolved, cohort, index, checkpoint)
        variables = environment(self._command, cohort.points[index], values, slot) | {
            "BATCHSCALE_LOG": str(self._folder / _LOG),
            "BATCHSCALE_CHECKPOINT": str(checkpoint),
            "BATCHSCALE_RESUME": str(int(self._resumed)),
        }
        self._awaits_first = True
        words, folder = self._command.words(values), self._command.folder
        printed = self._folder / _OUTPUT, self._folder / _ERRORS
        try:
            self.process = Process(words, variables, folder, printed)
        except (OSError, ValueError) as error:
            self._close_files()
            self._finish(End(f"the program must start, got {type(error).__name__}: {error}"))

    def poll(self) -> bool:
        """Read what the program has reported, and its exit code; return whether anything is new."""
        process, before = self.process, self.step
        if process is None:
            return True
        code = process.exit_code  # asked first: then all that it printed can be read
        try:
            self._read_files(to_end=code is not None)
            self._check_time()
        except BadLineError as bad:
            self.conclude(End(str(bad)))
        except (FileNotFoundError, NotADirectoryError) as error:
            self.conclude(End(f"a program must not remove the folder of its trial, got {error}"))
        ended = code is not None and self._settled(code)
        if code is not None and ended:
            self.conclude(self._end_with(code))
        if ended or process.overdue:
            self.killed = not ended
            self.close()
        return self.process is None or self.step != before

    def _settled(self, code: int) -> bool:
        """Return whether a program ended on its own, not with the sweep, which may be next."""
        if code == 0 or self.end is not None or self._stopped:
            return True
        self._died = self._died or time.monotonic()
        return time.monotonic() - self._died > SETTLE_SECONDS

    def stop(self, grace: float | None = None) -> None:
        """Ask the program to end itself, and read nothing more."""
        self._stopped = True
        if self.process is not None:
            own_grace = self._command.options.grace_seconds
            self.process.end_softly(own_grace if grace is None else min(own_grace, grace))

    def allow_restart(self) -> str:
        """Discard an end by a kill from outside, unless there were too many; return it in words."""
        if self.end is None or not 0 < self.end.killed < MAX_STARTS:
            return ""
        write(self._folder / _KILLED, json.dumps(asdict(self.end)))
        (self._folder / _ENDED).unlink()
        return self.end.message.partition(";")[0]

    def close(self) -> None:
        """Kill what remains of the program."""
        if self.process is not None:
            self.process.close()
            self._close_files()
            self.process = None

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()

    def conclude(self, end: End = End()) -> None:  # noqa: B008 - it is frozen
        """End the trial, by default at its last measurement: nothing further matters."""
        if self.end is None and not self._stopped:
            self._finish(end)
            self.stop()

    def _finish(self, end: End) -> None:
        self.end = end
        write(self._folder / _ENDED, json.dumps(asdict(end)))

    def _read_files(self, *, to_end: bool) -> None:
        for name, file in self._files.items():
            if os.fstat(file.fileno()).st_size < file.tell():
                raise BadLineError(
                    f"a program must append to $BATCHSCALE_LOG, got a file that became shorter "
                    f"after step {self.step}; open it once, or in append mode"
                )
            # a program that prints without end must not hold up the others
            piece = file.read() if to_end else file.read(_PIECE)
            if name != _LOG:
                self.output.add(piece)
            if name in _REPORTS:
                splitter = self._lines[name]
                lines = splitter.add(piece) + (splitter.end() if to_end else [])
                self._read_lines(lines, _REPORTS[name])
            if file.tell() > _MAX_BYTES:
                raise BadLineError(
                    f"a program must print at most {_MAX_BYTES:,} bytes, got more; print less"
                )

    def _read_lines(self, lines: Sequence[str], only_json: bool) -> None:
        for line in lines:
            if self.end is not None or self._stopped:
                return
            measurement = self._reader.read(line, only_json=only_json)
            known = self.process is None and measurement and measurement.step <= self.step
            if measurement is not None and not known:
                self._record(measurement)

    def _record(self, measurement: Measurement) -> None:
        self._heard, step = time.monotonic(), measurement.step
        if self._awaits_first and self._rows:
            # it resumes from a checkpoint before the last of these, or starts again
            self._rows = [row for row in self._rows if self._resumed and row[0] < step]
            self._write_rows()
        self._awaits_first = False
        if step <= self.step:
            raise BadLineError(
                f"{self._command.options.step} must rise from one measurement to the next, got "
                f"{step} after {self.step}; of several processes, let one report"
            )
        if step > self._rules.max_steps:
            if not self._rows:
                raise BadLineError(
                    f"a program must be measured within its budget of "
                    f"{self._rules.max_steps:,} steps, got its first measurement at "
                    f"step {step:,}; measure more often"
                )
            self.conclude(End(finished=True))
        elif not measurement.finite:
            self.conclude(End(diverged_at=step))
        else:
            losses = (measurement.train_loss, measurement.val_loss, measurement.val_error)
            row = (step, *losses, self._elapsed(), *measurement.further)
            self._rows.append(row)
            with (self._folder / _CURVE).open("a", encoding="utf-8") as file:
                file.write(line_of(row))
            first = self._rows[0]
            # a program need not report step 0, and later losses do not show where it began
            comparable = self._rules.ends_diverged and first[0] == 0
            if comparable and plainly_diverged(first, row, self._rules.target):
                self.conclude(End(diverged_at=step))

    def _write_rows(self) -> None:
        write(self._folder / _CURVE, "".join(map(line_of, self._rows)))

    def _elapsed(self) -> float:
        """Return the seconds that the program has run, here and before."""
        if self.process is None:  # nobody knows when a measurement was made that nobody read
            return self._rows[-1][4] if self._rows else 0.0
        return self._seconds + time.monotonic() - self._begun

    def _check_time(self) -> None:
        options, now = self._command.options, time.monotonic()
        for name, since in (("trial_minutes", self._begun), ("silent_minutes", self._heard)):
            minutes = getattr(options, name)
            if minutes is not None and now - since > 60 * minutes and self.end is None:
                raise BadLineError(
                    f"the program must keep within workload_options.{name} = {minutes:g}, got "
                    f"step {self.step} as its last measurement; {self.output.last_lines()}"
                )

    def _end_with(self, code: int) -> End:
        """Return how a program ended that was not stopped."""
        if code:
            where = f"after step {self.step}" if self._rows else "before any measurement"
            killed = read_end(self._folder / _KILLED)
            return broken_down(code, where, self.output.last_lines(), killed)
        if not self._rows:
            return End(self._no_measurements())
        if self._reader.null_at is not None and self._reader.null_at > self.step:
            return End(diverged_at=self._reader.null_at)
        before = self._rows[-2][0] if len(self._rows) > 1 else 0
        if 2 * self.step - max(before, 0) > self._rules.max_steps:
            return End(finished=True)  # its next measurement would be beyond the budget
        return End(
            f"the program must train for {{max_steps}} = {self._rules.max_steps:,} steps unless it "
            f"is stopped, got an end after step {self.step:,}; {self.output.last_lines()}"
        )

    def _no_measurements(self) -> str:
        options, keys = self._command.options, ", ".join(sorted(self._reader.keys))
        reported = f"JSON with the keys {keys}" if keys else "none"
        if {options.step, self._command.measured} <= self._reader.keys:
            reported = "keys that are null or on separate lines"
        return (
            "the program must report measurements, JSON objects with the keys "
            f"{options.step} and {self._command.measured}, on lines of its standard output or of "
            f"$BATCHSCALE_LOG, got {reported}; print each on a line of its own, with keys in "
            f"double quotes, and not to standard error; {self.output.last_lines()}"
        )
