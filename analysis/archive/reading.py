"""Read the workloads of an archive one by one, and check every file."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.csv

from analysis.archive.layout import (
    MEASUREMENTS_CSV,
    METADATA_JSON,
    STATUS_OF,
    STUDY_JSON,
    Place,
    check_name,
    place_of,
)
from analysis.archive.source import ArchiveFile
from analysis.archive.spaces import check_parameter, is_finite
from analysis.errors import AnalysisError

_MAX_STEPS = 2**53


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivedTrial:
    """A trial of an archive."""

    trial: int  # its `trial_id`
    status: str  # COMPLETE, INCOMPLETE or INFEASIBLE
    steps: int  # optimizer updates taken
    parameters: Mapping[str, float]  # values by the archive's names
    # ascending `step`, int64, and a float64 column for each measured quantity
    measurements: pa.Table = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivedWorkload:
    """A data set, model and optimizer, with a search at each batch size."""

    path: tuple[str, ...]  # its folders, from the group or data set down to the optimizer
    # `study.json` by batch size, ascending
    descriptions: Mapping[int, Mapping[str, Any]]
    trials: Mapping[int, tuple[ArchivedTrial, ...]]  # by batch size, in ascending order of number


def workloads(
    files: Iterable[ArchiveFile], wanted: Callable[[tuple[str, ...]], bool]
) -> Iterator[ArchivedWorkload]:
    """Yield the workloads of an archive whose path is wanted, with at most one in memory.

    Files outside the layout, such as a README, are skipped. The files of a workload must follow
    each other.

    Raises:
        AnalysisError: a file is malformed or missing, or the files of a workload are apart.
    """
    placed = ((place, file) for file in files if (place := place_of(file.parts)) is not None)
    seen: set[tuple[str, ...]] = set()
    for path, group in groupby(placed, key=lambda entry: entry[0].workload):
        if path in seen:
            raise AnalysisError(
                "the files of a workload must be together in an archive, got "
                f"{'/'.join(path)} in two places; unpack it, and give the folder"
            )
        seen.add(path)
        if wanted(path):
            yield _workload(path, group)


def _workload(
    path: tuple[str, ...], group: Iterable[tuple[Place, ArchiveFile]]
) -> ArchivedWorkload:
    read: dict[str, dict[tuple[int, int | None], Any]] = {name: {} for name in _READERS}
    for place, file in group:
        key, contents = (place.batch_size, place.trial), read[place.file]
        if key in contents:
            raise AnalysisError(
                f"an archive must hold each file once, got {place} twice; check its origin"
            )
        contents[key] = _READERS[place.file](place, file.read())
    descriptions = {size: read[STUDY_JSON][size, None] for size, _ in sorted(read[STUDY_JSON])}
    trials: dict[int, list[ArchivedTrial]] = {size: [] for size in descriptions}
    for (size, number), metadata in sorted(read[METADATA_JSON].items()):
        place = Place(path, size, number, METADATA_JSON)
        _check_complete(size in descriptions, place, STUDY_JSON)
        trials[size].append(_trial(metadata, read[MEASUREMENTS_CSV].pop((size, number), None)))
    for size, number in read[MEASUREMENTS_CSV]:
        _check_complete(False, Place(path, size, number, MEASUREMENTS_CSV), METADATA_JSON)
    for size, found in trials.items():
        _check_numbers(Place(path, size, None, STUDY_JSON), [trial.trial for trial in found])
    ordered = {
        size: tuple(sorted(found, key=lambda trial: trial.trial)) for size, found in trials.items()
    }
    return ArchivedWorkload(path=path, descriptions=descriptions, trials=ordered)


def _check_complete(complete: bool, place: Place, missing: str) -> None:
    if not complete:
        raise AnalysisError(
            f"a trial must have a {METADATA_JSON}, and its study a {STUDY_JSON}, got {place} "
            f"without {missing}; complete the archive, unpack it if its files are out of order, or "
            "leave that workload out with --only"
        )


def _check_numbers(place: Place, numbers: list[int]) -> None:
    if not numbers:
        raise AnalysisError(
            f"a study must hold at least one trial, got none in {place.study}; complete the "
            "archive, or leave that workload out with --only"
        )
    most = Counter(numbers).most_common(1)[0]
    if most[1] > 1:
        raise AnalysisError(
            f"trials of a study must have different numbers, got trial_id {most[0]} more than "
            f"once in {place.study}; correct the archive or leave that workload out with --only"
        )


def _trial(metadata: Mapping[str, Any], measurements: pa.Table | None) -> ArchivedTrial:
    table = _NO_MEASUREMENTS if measurements is None else measurements
    steps = metadata.get("steps")
    if steps is None:
        steps = max(table["step"].to_pylist(), default=0)
    return ArchivedTrial(
        trial=int(metadata["trial_id"]),
        status=metadata["status"],
        steps=int(steps),
        parameters={name: float(value) for name, value in metadata["parameters"].items()},
        measurements=table,
    )


def _json(place: Place, content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _malformed(place, "valid JSON", error) from error
    if not isinstance(data, dict):
        raise _malformed(place, "a JSON object", content[:40])
    return data


def _read_study(place: Place, content: bytes) -> dict[str, Any]:
    data = _json(place, content)
    if data.get("batch_size") != place.batch_size:
        raise _malformed(
            place, f"of batch size {place.batch_size}, as its folder", data.get("batch_size")
        )
    configs = data.get("parameter_configs")
    if not isinstance(configs, dict):
        raise _malformed(place, "an object with parameter_configs", configs)
    for name, config in configs.items():
        check_parameter(str(place), name, config)
    return data


def _read_metadata(place: Place, content: bytes) -> dict[str, Any]:
    data = _json(place, content)
    if str(data.get("status")) not in STATUS_OF:
        raise _malformed(place, f"of a status among {', '.join(STATUS_OF)}", data.get("status"))
    for name in ("trial_id", "steps"):
        value = data.get(name)
        if not _is_count(value) and not (name == "steps" and value is None):
            raise _malformed(place, f"with {name} an integer from 0", value)
    parameters = data.get("parameters")
    if not isinstance(parameters, dict) or not all(map(is_finite, parameters.values())):
        raise _malformed(place, "with parameters that are finite numbers", parameters)
    for name in parameters:
        check_name("parameters", name, str(place))
    return data


def _is_count(value: Any) -> bool:
    return is_finite(value) and 0 <= value <= _MAX_STEPS and value == int(value)


def _read_measurements(place: Place, content: bytes) -> pa.Table:
    """Return the measurements in ascending order of step; none from an empty file."""
    if not content.strip():
        return _NO_MEASUREMENTS
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content), read_options=pyarrow.csv.ReadOptions(use_threads=False)
        )
        names = table.column_names
        if "step" not in names or len(set(names)) != len(names):
            raise _malformed(place, "of different columns, `step` among them", ", ".join(names))
        kinds = [pa.int64() if name == "step" else pa.float64() for name in names]
        table = table.cast(pa.schema(list(zip(names, kinds, strict=True))))
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise _malformed(place, "a table of numbers", error) from error
    steps = table["step"].to_numpy() if table["step"].null_count == 0 else None
    if steps is None or (len(steps) and steps.min() < 0):
        raise _malformed(place, "with a step from 0 in each row", "another")
    if (steps[1:] < steps[:-1]).any():
        table = table.take(pa.array(steps.argsort(kind="stable")))
    return table.combine_chunks()


def _malformed(place: Place, rule: str, got: object) -> AnalysisError:
    text = str(got)
    text = text if len(text) <= 200 else f"{text[:200]}..."
    return AnalysisError(
        f"{place} must be {rule}, got {text}; correct it, or leave that workload out with --only"
    )


_NO_MEASUREMENTS = pa.table({"step": pa.array([], pa.int64())})
_READERS: Mapping[str, Callable[[Place, bytes], Any]] = {
    STUDY_JSON: _read_study,
    METADATA_JSON: _read_metadata,
    MEASUREMENTS_CSV: _read_measurements,
}
