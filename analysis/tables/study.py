"""A study as the analysis reads it: its configuration and its tables."""

import json
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import pandas as pd
import pyarrow as pa

from analysis.errors import AnalysisError
from analysis.tables.files import read_file, read_study_file, read_table_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import (
    BOXES_FILE,
    COLUMNS,
    CURVES_FILE,
    PROVENANCE_FILE,
    STATUSES,
    STUDY_FILE,
    TRIAL_KEY,
    TRIALS_FILE,
    file_schema,
)
from analysis.tables.validation import check_config, check_table

ANALYZED = (*TRIAL_KEY, "step", "val_error")
"""Columns of the curves that `analyze` keeps, as there may be millions of measurements."""
Made = TypeVar("Made")
_NULLABLE = {pa.int64(): pd.Int64Dtype()}
_KEY = list(TRIAL_KEY)
_POINT = ["batch_size", "source_batch_size", "source_role", "source_trial"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyTables:
    """The configuration and the tables of a study."""

    name: str  # name of the results folder
    config: Mapping[str, Any]  # the resolved study file as plain data
    trials: pd.DataFrame  # one row per trial, columns as in `trial_schema`
    curves: pd.DataFrame  # one row per measurement, columns as in `curve_schema`
    # columns as in `BOX_COLUMNS`; a batch size without rows was searched in `space`
    boxes: pd.DataFrame = field(
        default_factory=lambda: file_schema(BOXES_FILE).empty_table().to_pandas()
    )
    data: Mapping[str, Any] = field(default_factory=dict)  # recorded digests by split
    _made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what `make` returns, called only the first time that the key is used."""
        if key not in self._made:
            self._made[key] = make()
        made: Made = self._made[key]
        return made

    @property
    def target(self) -> float:
        """The target in the study file."""
        target = self.config["race"].get("target")
        if target is None:
            raise AnalysisError(
                f"a study without its own target needs --target, got none for {self.name}"
            )
        return float(target)

    @property
    def raced(self) -> bool:
        """Whether trials stopped at the target; otherwise each ran to its budget."""
        return str(self.config["race"].get("to", "target")) == "target"

    @property
    def adaptive(self) -> bool:
        """Whether the sampler learns from earlier trials."""
        return bool(self.config.get("adaptive", False))

    @property
    def gathers_momentum(self) -> bool:
        """Whether lr / (1 - momentum) is an effective learning rate, if the study has both."""
        muon = self.config.get("optimizer") == "muon"  # the first folders lack the key
        return not self.config.get("normalized_momentum", muon)

    @property
    def imported(self) -> bool:
        """Whether the trials were imported; then only their curves decide the outcome."""
        return "imported" in self.config

    @property
    def counted_statuses(self) -> tuple[str, ...]:
        """Statuses of the trials that reach a target where their curves cross it: not `failed`.

        An imported study lists them; by default they are those that an archive calls COMPLETE.
        """
        if self.imported:
            return tuple(self.config["imported"].get("counted_statuses", ("reached", "exhausted")))
        return tuple(status for status in STATUSES if status != "failed")

    @property
    def space(self) -> Mapping[str, Mapping[str, Any]]:
        """Low, high and scale of each searched hyperparameter."""
        space: Mapping[str, Any] = self.config["search"]["space"]
        return {name: entry for name, entry in space.items() if isinstance(entry, Mapping)}

    @property
    def searched(self) -> list[str]:
        """The searched hyperparameters: learning rate, momentum, then the others by name."""
        return sorted(self.space, key=lambda name: (name != "lr", name != "momentum", name))

    @property
    def space_known(self) -> bool:
        """Whether it is known what was searched, which an import of runs need not say."""
        record = self.config.get("imported", {})
        return not self.imported or record.get("path") is not None or bool(self.space)

    def box(self, batch_size: int) -> Mapping[str, Mapping[str, Any]]:
        """Return the ranges searched at a batch size, with extensions, in the form of `space`."""
        here = self.boxes[self.boxes["batch_size"] == batch_size]
        if here.empty:
            return self.space
        return {
            str(name): {
                "low": float(rows["low"].min()),
                "high": float(rows["high"].max()),
                "scale": str(rows["scale"].iloc[0]),
            }
            for name, rows in here.groupby("hyperparameter", sort=False)
        }


def read_study(folder: ResultsFolder, measured: Collection[str] | None = None) -> StudyTables:
    """Return the study in a results folder, with all columns of the curves or the `measured` ones.

    All columns are checked, whichever are kept.

    Raises:
        AnalysisError: a file is missing, damaged, of another schema version, or of another study.
    """
    config = read_study_file(folder)
    check_config(str(folder / STUDY_FILE), config)
    for name in (TRIALS_FILE, CURVES_FILE, BOXES_FILE):
        if not folder.exists(name):
            raise AnalysisError(
                f"a study must hold {name}, got none in {folder}; run `batchscale analyze` to make "
                "it from the parts"
            )
    study = StudyTables(
        name=folder.name,
        config=config,
        trials=read_table(folder, TRIALS_FILE),
        curves=read_table(folder, CURVES_FILE, measured),
        boxes=read_table(folder, BOXES_FILE),
        data=_data(folder),
    )
    require_planned(str(folder), study)
    _require_one_study(str(folder), study)
    return study


def require_planned(where: str, study: StudyTables) -> None:
    """Refuse a study file that asks for fewer trials than the tables contain.

    Parts have no digest of the numbers that may grow from sweep to sweep. These never shrink, so a
    file that asks for less was edited, or belongs to another study.
    """
    config, trials = study.config, study.trials
    if study.imported or "batch_sizes" not in config:
        return
    if not set(trials["batch_size"]) <= set(config["batch_sizes"]):
        _refuse(where, TRIALS_FILE, "more batch sizes", STUDY_FILE)
    granted = {grant["batch_size"]: grant for grant in config.get("granted") or ()}
    for role, section, key in (
        ("search", config["search"], "trials"),
        ("replicate", config.get("replicates", {}), "seeds"),
    ):
        if key not in section:
            continue
        runs = trials[trials["role"] == role].groupby(_POINT, dropna=False).size()
        more = int(section.get("confirm") or 0)
        for point, count in runs.items():
            size: int = point[0]  # type: ignore[index]  # of several columns
            if count > max(section[key], granted.get(size, {}).get(key, 0)) + more:
                _refuse(where, TRIALS_FILE, f"more {key} at B = {size}", STUDY_FILE)


def _require_one_study(where: str, study: StudyTables) -> None:
    """Refuse tables of different studies, mixed by copying files by hand."""
    config, trials = study.config, study.trials
    known = trials[[*_KEY, "steps", "status"]]
    joined = study.curves[[*_KEY, "step", "val_error"]].merge(known, on=_KEY, how="left")
    if joined["status"].isna().any():
        _refuse(where, CURVES_FILE, "other trials", TRIALS_FILE)
    target = config["race"].get("target")
    if config.get("imported") or target is None:  # runs that may have had boxes of their own
        return
    for row in study.boxes[study.boxes["region"] == 0].itertuples():
        entry = study.space.get(str(row.hyperparameter), {})
        if [entry.get(n) for n in ("low", "high", "scale")] != [row.low, row.high, row.scale]:
            _refuse(where, BOXES_FILE, f"another range of {row.hyperparameter}", STUDY_FILE)
    reached = joined[(joined["status"] == "reached") & (joined["step"] >= 1)]
    below = reached[reached["val_error"] < target]
    first = below.groupby(_KEY)["step"].min().sort_index()
    steps = trials[trials["status"] == "reached"].set_index(_KEY)["steps"].sort_index()
    if not first.index.equals(steps.index) or (first != steps).any():
        _refuse(where, TRIALS_FILE, "other steps to target", f"{CURVES_FILE} and {STUDY_FILE}")


def _refuse(where: str, file: str, got: str, other: str) -> NoReturn:
    raise AnalysisError(
        f"the files in {where} must be of one study, got {got} in {file} than in {other}; copy "
        "results folders as a whole"
    )


def _data(folder: ResultsFolder) -> Mapping[str, Any]:
    """Return the digests of the data in `provenance.json`; none if it is missing or damaged."""
    try:
        sweeps = json.loads(read_file(folder, PROVENANCE_FILE))["sweeps"]
        return dict(sweeps[-1]["admission"]["workload"]["data"])
    except (AnalysisError, RecursionError, ValueError, LookupError, TypeError):
        return {}


def read_table(
    folder: ResultsFolder, name: str, columns: Collection[str] | None = None
) -> pd.DataFrame:
    """Return a table named in `schema.COLUMNS`, or some of its columns."""
    table = read_table_file(folder, name)
    check_table(str(folder / name), table, COLUMNS[name])
    return as_frame(table if columns is None else table.select(list(columns)))


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a DataFrame, with integer columns that allow nulls."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=_NULLABLE.get)
    return frame


def json_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table as rows of JSON data; null where unknown."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return rows


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV with all digits, the same on every system."""
    return table.to_csv(index=False, lineterminator="\n").encode()
