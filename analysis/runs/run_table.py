"""Rows grouped by run; refuses settings that differ within a run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.runs.columns import Columns, Units
from analysis.runs.rows import Rows
from analysis.tables.schema import ROLES

ATTEMPT = "give each run an id of its own"
"""The remedy where rows of several runs, such as attempts, have one id."""
_TEXTS = ("workload", "optimizer", "status", "role", "source_role", "rule", "message")
_COUNTS: Mapping[str, int] = {
    "batch_size": 1,
    "trial": 0,
    "stopped_at": 0,
    "source_batch_size": 1,
    "source_trial": 0,
}


@dataclass(frozen=True, slots=True)
class RunTable:
    """Rows with the meaning of their columns and steps, and with the run of each row."""

    rows: Rows
    columns: Columns
    units: Units
    ids: "pd.Series[str]"  # of the run of each row
    codes: "pd.Series[int]"  # the number of that run, from 0

    @property
    def measured(self) -> bool:
        """Whether a row is a measurement; else it is a run."""
        return "step" in self.columns

    def frame(self, hyperparameters: Sequence[str]) -> pd.DataFrame:
        """Return id, first row and settings of each run."""
        columns, firsts = self.columns, ~self.codes.duplicated()
        frame = pd.DataFrame({"run": self.ids[firsts].to_numpy(), "row": self.ids.index[firsts]})
        frame[[*_COUNTS, "target"]] = np.nan
        for name, least in _COUNTS.items():
            if name in columns:
                counts = self.rows.counts(columns.by_name[name], least)
                frame[name] = self.constant(name, *counts)
        for name in (*_TEXTS, "seed"):
            frame[name] = None
            if name in columns:
                texts = self.rows.texts(columns.by_name[name])
                frame[name] = self.constant(name, texts, texts.notna())
        frame["seed"] = np.array([self._seed(text) for text in frame["seed"]], dtype=object)
        for name in (*(["target"] if "target" in columns else []), *hyperparameters):
            column = columns.by_name.get(name, name)
            frame[name] = self.constant(name, *self.rows.numbers(column), finite=True)
        lacking = frame[frame["batch_size"].isna()]
        self.rows.refuse_any(lacking, "a run must have a batch_size", "none for {run}")
        self._check_role(frame)
        return frame

    def _seed(self, text: Any) -> int | None:
        """Return a seed as an integer: a float would round large ones."""
        if pd.isna(text):
            return None
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or not -(2**63) <= int(text) < 2**63:
            raise AnalysisError(
                f"a seed must be an integer of 64 bits, got {text!r} in {self.rows.where}; number "
                "them, or leave the column out with --columns seed="
            )
        return int(text)

    def _check_role(self, frame: pd.DataFrame) -> None:
        wrong = frame[frame["role"].notna() & ~frame["role"].isin(ROLES)]
        self.rows.refuse_any(wrong, f"role must be one of {', '.join(ROLES)}", "{role}")
        key = frame[["batch_size", "role", "trial"]]
        twice = key.notna().all(axis=1) & key.duplicated()
        if twice.any():
            rows = frame["row"][(key == key[twice].iloc[0]).all(axis=1)].tolist()[:2]
            got = "two with the same batch_size, role and trial"
            self.rows.refuse("a trial must have a number of its own", got, rows, ATTEMPT)

    def constant(
        self,
        name: str,
        values: "pd.Series[Any]",
        given: "pd.Series[bool]",
        finite: bool = False,
    ) -> "pd.Series[Any]":
        """Return the value of each run, NaN or None if it has none; refuse two in one run."""
        if finite and not np.isfinite(values[given]).all():
            bad = values[given][~np.isfinite(values[given])].index[0]
            self.rows.refuse(f"{name} must be finite", values[bad], [bad])
        known, codes = values[given], self.codes[given]
        first = known.groupby(codes).first()
        differ = known != codes.map(first)
        if differ.any():
            row = differ.index[differ][0]
            origin = known.index[codes == codes[row]][0]
            self.rows.refuse(
                f"a run must have one {name}",
                f"{known[origin]} and {known[row]} for run {self.ids[row]!r}",
                [origin, row],
                f"{ATTEMPT}, or leave the column out with --columns {name}=",
            )
        return first.reindex(range(int(self.codes.max()) + 1))

    def updates(self, runs: pd.DataFrame) -> "tuple[pd.Series[float], pd.Series[bool]]":
        """Return the step of each row in updates, NaN if empty, and which rows have one."""
        steps, given = self.rows.counts(self.columns.by_name["step"])
        return self.units.updates(steps, self.codes.map(runs["batch_size"])), given

    def varies(self, column: str) -> bool:
        """Return whether a column differs within a run."""
        texts = self.rows.texts(column).fillna("")
        return bool((texts.groupby(self.codes).nunique() > 1).any())

    def is_measured(self, column: str) -> bool:
        """Return whether a column of numbers is a measurement.

        It is if it changes along at least half of the runs, or if no run has it in its first row,
        such as a final score.
        """
        values, given = self.rows.numbers(column)
        groups = values[given].groupby(self.codes[given])
        varying = int((groups.nunique(dropna=False) > 1).sum())
        late = given.any() and not given[~self.codes.duplicated()].any()
        return bool(late or (varying and 2 * varying >= int((groups.size() > 1).sum())))
