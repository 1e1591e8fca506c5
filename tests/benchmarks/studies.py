"""The studies that are measured: written as study files, swept by the real command, read back.

All that the benchmarks know about batchscale's internals is here.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.measuring import Finished, run

if TYPE_CHECKING:
    from study.config.study import ResolvedStudy

BATCHSCALE = Path(sys.executable).with_name("batchscale")
Points = dict[int, list[dict[str, float]]]
"""Points of the search by batch size, in the order of their trials."""


def digits(batch_sizes: Sequence[int], trials: int, max_steps: int) -> dict[str, Any]:
    """Return a study of the small network on scikit-learn's digits."""
    return _study("digits-mlp", batch_sizes, trials, max_steps)


def fashion(batch_sizes: Sequence[int], trials: int, max_steps: int) -> dict[str, Any]:
    """Return a study of the fully connected network on Fashion-MNIST."""
    return _study("fashion-mnist-mlp", batch_sizes, trials, max_steps)


def quadratic(batch_sizes: Sequence[int], trials: int, max_steps: int) -> dict[str, Any]:
    """Return a study of the noisy quadratic, whose training is a cheap recursion.

    The target is just below the initial loss of 2.59.
    """
    study = _study("noisy-quadratic", batch_sizes, trials, max_steps)
    study["race"]["target"] = 2.5
    return study


def made_up(batch_sizes: Sequence[int], trials: int, max_steps: int) -> dict[str, Any]:
    """Return a study of made-up learning curves."""
    workload = f"{Path(__file__).with_name('made_up.py')}:MadeUp"
    return _study(workload, batch_sizes, trials, max_steps)


WORKLOADS = {"digits": digits, "fashion": fashion, "quadratic": quadratic}


def _study(
    workload: str, batch_sizes: Sequence[int], trials: int, max_steps: int
) -> dict[str, Any]:
    return {
        "workload": workload,
        "batch_sizes": list(batch_sizes),
        "search": {"trials": trials},
        "race": {"max_steps": max_steps},
        "replicates": {"seeds": 0},  # the others run none
    }


def resolved(data: Mapping[str, Any]) -> "ResolvedStudy":
    """Return the study with every default filled in, as `batchscale sweep` does."""
    from study.planning.resolve import resolve

    return resolve(data)[0]


def points(study: "ResolvedStudy") -> Points:
    """Return the points that a sweep tries, for a sampler that does not learn."""
    import optuna

    from study.search.search import Search

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials = range(study.search.trials)
    return {size: Search(study, size).propose(trials) for size in study.batch_sizes}


def measured_steps(study: "ResolvedStudy", batch_size: int) -> list[int]:
    """Return the steps that a trial is measured at, up to its budget."""
    from study.engine.stopping_rules import StoppingRules
    from study.engine.stopping_rules import measured_steps as grid

    return list(grid(StoppingRules.for_search(study, batch_size, None)))


def space(study: "ResolvedStudy") -> dict[str, dict[str, float | str]]:
    """Return the searched range of learning rate and momentum."""
    return {name: study.search.space[name].model_dump(mode="json") for name in ("lr", "momentum")}  # type: ignore[union-attr]


@dataclass(frozen=True, kw_only=True)
class Swept:
    """A sweep that was run, and its results folder."""

    finished: Finished
    folder: Path


def sweep(
    place: Path, data: Mapping[str, Any], *, workers: int, results: str, pss: bool = False
) -> Swept:
    """Run `batchscale sweep` on a study, with a results folder under `place`."""
    import tomlkit

    file = place / "study.toml"
    file.write_text(tomlkit.dumps(data), encoding="utf-8")
    command: list[str | Path] = [
        BATCHSCALE,
        "sweep",
        file,
        "--results",
        place / results,
        "--workers",
        str(workers),
    ]
    finished = run(command, folder=place, pss=pss)
    return Swept(finished=finished, folder=place / results / "study")


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A cohort read from its part; `began` and `ended` are in seconds since the epoch."""

    batch_size: int
    trials: int
    steps: int
    began: float
    ended: float


def cohorts(folder: Path) -> list[Recorded]:
    """Return the cohorts in a results folder, from the parts and their times of modification.

    `steps` counts the training steps of all trials. `began` is the time at which the part was
    written minus the duration of the race, which does not include building the models.
    """
    import pyarrow.parquet as pq

    found = []
    for path in sorted((folder / "parts").glob("b*.parquet")):
        rows = pq.read_table(path, columns=["batch_size", "stopped_at", "curve_seconds"])
        took = max((row[-1] for row in rows["curve_seconds"].to_pylist() if row), default=0.0)
        ended = path.stat().st_mtime
        found.append(
            Recorded(
                batch_size=rows["batch_size"][0].as_py(),
                trials=len(rows),
                steps=sum(rows["stopped_at"].to_pylist()),
                began=ended - took,
                ended=ended,
            )
        )
    return found


def phases(swept: Swept) -> dict[str, float]:
    """Split a sweep's wall-clock into before, between and after its first and last cohort."""
    found = cohorts(swept.folder)
    start, end = swept.finished.started, swept.finished.started + swept.finished.seconds
    began, ended = min(c.began for c in found), max(c.ended for c in found)
    return {"start-up": began - start, "training": ended - began, "end": end - ended}


def trials(folder: Path) -> list[dict[str, Any]]:
    """Return the trials of a results folder as its table has them."""
    import pyarrow.parquet as pq

    names = ["batch_size", "trial", "lr", "momentum", "steps", "stopped_at", "status"]
    rows: list[dict[str, Any]] = pq.read_table(folder / "trials.parquet", columns=names).to_pylist()
    return rows


def fewest_steps(rows: Iterable[Mapping[str, Any]]) -> dict[int, int | None]:
    """Return the fewest steps to target at each batch size; None where no trial reached it."""
    fewest: dict[int, int | None] = {}
    for row in rows:
        best, steps = fewest.setdefault(row["batch_size"], None), row["steps"]
        if steps is not None and (best is None or steps < best):
            fewest[row["batch_size"]] = steps
    return fewest


def same_points(wanted: Points, rows: Iterable[Mapping[str, Any]]) -> None:
    """Exit unless the trials ran each of the wanted points once.

    Points are rounded, since searches work with 1 - momentum, which changes the last digit.
    """
    ran: dict[int, list[tuple[float, float]]] = {size: [] for size in wanted}
    for row in rows:
        ran[row["batch_size"]].append(_key(row))
    for size, proposed in wanted.items():
        if sorted(ran[size]) != sorted(_key(point) for point in proposed):
            raise SystemExit(f"the trials at batch size {size} did not run the given points")


def _key(point: Mapping[str, Any]) -> tuple[float, float]:
    return round(point["lr"], 12), round(point["momentum"], 12)


def write_job(path: Path, study: "ResolvedStudy", wanted: Points, **more: Any) -> None:
    """Write what a peer's script needs to run the same study."""
    job = {
        "workload": study.workload,
        "target": study.target,
        "space": space(study),
        "tasks": [
            {
                "batch_size": size,
                "points": wanted[size],
                "measured_steps": measured_steps(study, size),
            }
            for size in study.batch_sizes
        ],
        **more,
    }
    path.write_text(json.dumps(job), encoding="utf-8")
