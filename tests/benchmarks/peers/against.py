"""What the comparisons with a user's own scripts share: options, runs, tables."""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks import studies
from tests.benchmarks.measuring import (
    Finished,
    arguments,
    cores,
    interleaved,
    number,
    peers,
    positive,
    positives,
    ratio,
    ratios,
    run,
    show,
    spread,
    write_json,
)

if TYPE_CHECKING:
    from study.config.study import ResolvedStudy

OURS = "batchscale sweep"
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "digits": {"batch_sizes": [4, 16, 64, 256, 1024], "trials": 32, "max_steps": 5000},
    "fashion": {"batch_sizes": [64, 256, 1024], "trials": 32, "max_steps": 4000},
}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One run of one side: the command, its phases in seconds, and its trials."""

    finished: Finished
    phases: dict[str, float]
    steps_trained: int
    trials: list[dict[str, Any]]


def options(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of a comparison."""
    parser = arguments(doc, repeats=3)
    parser.add_argument("--workload", choices=list(DEFAULTS), default="digits")
    for name, what in (("--trials", "at every batch size"), ("--max-steps", "step budget")):
        chosen = ", ".join(f"{w} {d[name[2:].replace('-', '_')]}" for w, d in DEFAULTS.items())
        parser.add_argument(name, type=positive, help=f"{what}; default {chosen}")
    parser.add_argument("--max-epochs", type=float, help="budget in epochs; the smaller binds")
    parser.add_argument("--batch-sizes", type=positives, metavar="B,B,...")
    parser.add_argument("--target", type=float, help="validation error; default the workload's")
    parser.add_argument("--workers", type=positive, default=cores(), help="default one per core")
    parser.add_argument(
        "--peer-slack",
        type=float,
        metavar="X",
        help="let the peer, too, stop trials at X times the fewest steps so far; default never",
    )
    return parser


def study_data(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the study file that the options ask for, and fill in the options' defaults."""
    for name, value in DEFAULTS[chosen.workload].items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, value)
    make = studies.WORKLOADS[chosen.workload]
    data = make(chosen.batch_sizes, chosen.trials, chosen.max_steps)
    for name in ("target", "max_epochs"):
        if getattr(chosen, name) is not None:
            data["race"][name] = getattr(chosen, name)
    return data


def compare(chosen: argparse.Namespace, peers: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
    """Run a sweep and its peers, interleaved, and show both tables.

    `peers` maps the name of each peer in the tables to its script and the settings of its job.
    """
    data = study_data(chosen)
    study = studies.resolved(data)
    wanted = studies.points(study)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        place = Path(folder)
        cases: dict[str, Callable[[], Ended]] = {
            OURS: partial(_ours, place, data, chosen.workers, wanted)
        }
        for name, (script, settings) in peers.items():
            job = {"workers": chosen.workers, "slack": chosen.peer_slack, **settings}
            cases[name] = partial(_theirs, place, script, study, wanted, job)
        runs = interleaved(cases, chosen.repeats)
    _show_times(chosen, runs)
    _show_steps(runs)
    write_json(
        chosen,
        resolved=study.as_data(),
        ratios_of_medians=_ratios(runs),
        repeats=runs,
    )


def _ours(place: Path, data: Mapping[str, Any], workers: int, wanted: studies.Points) -> Ended:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        swept = studies.sweep(Path(folder), data, workers=workers, results="results")
        trials = studies.trials(swept.folder)
        studies.same_points(wanted, trials)
        return Ended(
            finished=swept.finished,
            phases=studies.phases(swept),
            steps_trained=sum(cohort.steps for cohort in studies.cohorts(swept.folder)),
            trials=trials,
        )


def _theirs(
    place: Path,
    script: str,
    study: "ResolvedStudy",
    wanted: studies.Points,
    settings: Mapping[str, Any],
) -> Ended:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        job, out = Path(folder) / "job.json", Path(folder) / "out.json"
        studies.write_job(job, study, wanted, storage=folder, **settings)
        finished = run([sys.executable, Path(__file__).with_name(script), job, out])
        result = json.loads(out.read_text(encoding="utf-8"))
    studies.same_points(wanted, result["trials"])
    end = finished.started + finished.seconds
    return Ended(
        finished=finished,
        phases={
            "start-up": result["began"] - finished.started,
            "training": result["trained"] - result["began"],
            "end": end - result["trained"],
        },
        steps_trained=sum(trial["stopped_at"] for trial in result["trials"]),
        trials=result["trials"],
    )


def _ratios(runs: Mapping[str, Sequence[Ended]]) -> dict[str, float]:
    ours = [ended.finished.seconds for ended in runs[OURS]]
    return {
        name: ratio([ended.finished.seconds for ended in ends], ours)
        for name, ends in runs.items()
        if name != OURS
    }


def _show_times(chosen: argparse.Namespace, runs: Mapping[str, Sequence[Ended]]) -> None:
    ours = [ended.finished.seconds for ended in runs[OURS]]
    rows = []
    for name, ends in runs.items():
        phases = [
            number(statistics.median(ended.phases[phase] for ended in ends))
            for phase in ("start-up", "training", "end")
        ]
        rows.append(
            [
                name,
                str(spread(ended.finished.seconds for ended in ends)),
                "1" if name == OURS else ratios([e.finished.seconds for e in ends], ours),
                *phases,
                number(statistics.median(ended.finished.cpu_seconds for ended in ends)),
                f"{statistics.median(ended.steps_trained for ended in ends):,.0f}",
            ]
        )
    show(
        f"{chosen.workload}: {len(chosen.batch_sizes)} batch sizes x {chosen.trials} trials, "
        f"at most {chosen.max_steps:,} steps, {chosen.workers} workers",
        ["", "whole, s", "ratio", "start-up", "training", "end", "CPU s", "steps trained"],
        rows,
        f"Medians of {chosen.repeats} interleaved repeats (least to most). whole: process start to "
        "exit; ratio: of that to batchscale's; steps trained: over all trials. "
        f"{peers('ray', 'optuna', 'torch')}.",
    )


def _show_steps(runs: Mapping[str, Sequence[Ended]]) -> None:
    columns = ["batch size"]
    for name in runs:
        columns += [f"{name}: steps", "reached"]
    rows = []
    for size in studies.fewest_steps(runs[OURS][0].trials):
        row = [f"{size:,}"]
        for ends in runs.values():
            fewest = [studies.fewest_steps(ended.trials)[size] for ended in ends]
            row += [_range(fewest), _range([_reached(ended.trials, size) for ended in ends])]
        rows.append(row)
    show(
        "Fewest steps to target, and how many trials reached it",
        columns,
        rows,
        "Least to most over the repeats. Same points, other seeds: they agree statistically.",
    )


def _reached(trials: Sequence[Mapping[str, Any]], size: int) -> int:
    return sum(row["batch_size"] == size and row["steps"] is not None for row in trials)


def _range(values: Sequence[int | None]) -> str:
    known = sorted(value for value in values if value is not None)
    if not known:
        return "-"
    missing = ", or -" if len(known) < len(values) else ""
    if known[0] == known[-1]:
        return f"{known[0]:,}{missing}"
    return f"{known[0]:,} to {known[-1]:,}{missing}"
