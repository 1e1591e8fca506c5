"""Import an archive as results folders, one per workload."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa
import tomlkit

from analysis.archive.conversion import Tables, choose_metric, convert
from analysis.archive.layout import METRICS, STATUS_OF, Metric
from analysis.archive.reading import ArchivedWorkload, workloads
from analysis.archive.source import Origin, files, origin
from analysis.errors import AnalysisError
from analysis.tables.files import as_parquet
from analysis.tables.folder import ResultsFolder
from analysis.tables.imported import Imported, check_new, imported_counts, write_study
from analysis.tables.schema import ARCHIVE_FILE, BOXES_FILE, CURVES_FILE, STUDY_FILE, TRIALS_FILE
from analysis.tables.study import as_frame

_ORDER = (ARCHIVE_FILE, BOXES_FILE, CURVES_FILE, TRIALS_FILE, STUDY_FILE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What to import, and which trials count."""

    only: str = "*"  # pattern of the names of the results folders, such as `mnist-*`
    # validation error to get below; None leaves it to `analyze --target`
    target: float | None = None
    metric: str | None = None  # of `METRICS`; None for the first of them that a workload has
    all_trials: bool = False  # whether INCOMPLETE and INFEASIBLE trials may reach the target too
    first_trials: int | None = None  # COMPLETE trials to keep at each batch size; None for all

    def __post_init__(self) -> None:
        """Refuse impossible choices before anything is read."""
        if self.metric is not None and self.metric not in METRICS:
            raise AnalysisError(
                f"--metric must be one of {', '.join(METRICS)}, got {self.metric!r}"
            )
        if self.first_trials is not None and self.first_trials < 1:
            raise AnalysisError(f"--first-trials must be at least 1, got {self.first_trials}")
        if self.target is not None and not 0 < self.target < float("inf"):
            raise AnalysisError(
                f"--target must be a finite error above 0, got {self.target:g}; for a metric that "
                "is maximized it is 1 - goal"
            )


def import_archive(archive: Path, results: ResultsFolder, choices: Choices) -> list[Imported]:
    """Import the chosen workloads of an archive, a folder or a tar file, or none at all.

    Returns:
        The folders made, in the order of the archive.

    Raises:
        AnalysisError: the archive is malformed or unsafe, a folder is taken, or no workload
            matches.
    """
    source = origin(archive)
    with tempfile.TemporaryDirectory(prefix="batchscale-", ignore_cleanup_errors=True) as staged:
        made = list(_stage(archive, source, results, choices, Path(staged)))
        if not made:
            raise AnalysisError(
                f"{archive} must hold workloads of an archive (dataset-model-optimizer) whose name "
                f"matches --only, got none for {choices.only!r}, and neither MLflow's runs "
                "(*/meta.yaml) nor TensorBoard event files; for other runs, give a table, such as "
                "a CSV file"
            )
        for one in made:
            there = Path(staged) / one.folder.name
            write_study(one.folder, ((name, (there / name).read_bytes()) for name in _ORDER))
    if source.note:
        made[0] = replace(made[0], sentence=f"{source.note}\n{made[0].sentence}")
    return made


def _stage(
    archive: Path, source: Origin, results: ResultsFolder, choices: Choices, staged: Path
) -> Iterator[Imported]:
    paths: dict[str, tuple[str, ...]] = {}

    def wanted(path: tuple[str, ...]) -> bool:
        name = "-".join(path)
        if not fnmatchcase(name, choices.only):
            return False
        if paths.setdefault(name, path) != path:
            raise AnalysisError(
                f"workloads must have different names, got {name} of {'/'.join(paths[name])} and "
                f"{'/'.join(path)}; rename a folder"
            )
        check_new(results / name)
        return True

    for workload in workloads(files(archive), wanted):
        folder = results / "-".join(workload.path)
        metric = choose_metric(workload, choices.metric)
        tables = convert(workload, metric, choices.first_trials, choices.target)
        record = _imported_record(source, workload, metric, choices)
        *names, optimizer = workload.path
        goal = {} if choices.target is None else {"target": choices.target}
        config = {
            "workload": "-".join(names),
            "optimizer": optimizer,
            "batch_sizes": list(workload.descriptions),
            "adaptive": False,
            "imported": record,
            "search": {"space": tables.space},
            "race": {"to": "budget", "quantity": metric.quantity, **goal},
        }
        (staged / folder.name).mkdir()
        for name, content in _contents(tables, config, workload).items():
            (staged / folder.name / name).write_bytes(content)
        sentence = f"{folder}: {_sentence(tables, metric)}"
        yield Imported(folder=folder, sentence=sentence, has_target=choices.target is not None)


def _imported_record(
    source: Origin, workload: ArchivedWorkload, metric: Metric, choices: Choices
) -> dict[str, object]:
    """Return the section `[imported]` of the study file."""
    counted = ["reached", "exhausted"]
    if choices.all_trials:
        counted += [status for status in STATUS_OF.values() if status not in counted]
    record = {
        "origin": source.name,
        "sha256": source.sha256,
        "path": "/".join(workload.path),
        "metric": metric.column,
        "error": "1 - metric" if metric.maximized else "metric",
        "counted_statuses": counted,
        "first_trials": choices.first_trials,
    }
    return {key: value for key, value in record.items() if value is not None}


def _contents(
    tables: Tables, config: Mapping[str, Any], workload: ArchivedWorkload
) -> "Mapping[str, bytes | pa.Buffer]":
    """Return the files of a results folder."""
    studies = {str(size): dict(study) for size, study in workload.descriptions.items()}
    return {
        ARCHIVE_FILE: f"{json.dumps({'studies': studies}, indent=1)}\n".encode(),
        BOXES_FILE: as_parquet(tables.boxes),
        CURVES_FILE: as_parquet(tables.curves),
        TRIALS_FILE: as_parquet(tables.trials),
        STUDY_FILE: tomlkit.dumps(config).encode(),
    }


def _sentence(tables: Tables, metric: Metric) -> str:
    text = imported_counts(as_frame(tables.trials), len(tables.curves))
    text += f"; error is {'1 - ' if metric.maximized else ''}{metric.column}"
    if tables.not_finite:
        text += f"; measurements left out for not being finite: {tables.not_finite:,}"
    if tables.unmeasured:
        text += f"; trials without a measurement: {tables.unmeasured:,}"
    return text
