"""Rows with the run that each belongs to; what must be the same for a whole run is checked here."""

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
    """Rows with what their columns and steps mean, and with id and number of each row's run."""

    rows: Rows
    columns: Columns
    units: Units
    ids: "pd.Series[str]"
    codes: "pd.Series[int]"

    @property
    def measured(self) -> bool:
        """Whether a row is a measurement; else it is a run."""
        return "step" in self.columns

    def frame(self, hyperparameters: Sequence[str]) -> pd.DataFrame:
        """Return what is the same for a whole run, one row per run."""
        columns, firsts = self.columns, ~self.codes.duplicated()
        found = {"run": self.ids[firsts].to_numpy(), "row": self.ids.index[firsts]}
        frame = pd.DataFrame(found).assign(**dict.fromkeys((*_COUNTS, "target"), np.nan))
        for name in (name for name in _COUNTS if name in columns):
            counts = self.rows.counts(columns.of[name], _COUNTS[name])
            frame[name] = self.constant(name, *counts)
        for name in (*_TEXTS, "seed"):
            frame[name] = None
            if name in columns:
                texts = self.rows.texts(columns.of[name])
                frame[name] = self.constant(name, texts, texts.notna())
        frame["seed"] = np.array([self._seed(text) for text in frame["seed"]], dtype=object)
        for name in (*(["target"] if "target" in columns else []), *hyperparameters):
            column = columns.of.get(name, name)
            frame[name] = self.constant(name, *self.rows.numbers(column), finite=True)
        lacking = frame[frame["batch_size"].isna()]
        self.rows.refuse_any(lacking, "a run must have a batch_size", "none for {run}")
        self._check_role(frame)
        return frame

    def _seed(self, text: Any) -> int | None:
        """Return a seed, which may be larger than a float holds exactly."""
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
        self.rows.refuse_any(wrong, f"role must be of {', '.join(ROLES)}", "{role}")
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
        """Return the value of each run, NaN or None where it has none; refuse two in one run."""
        if finite and not np.isfinite(values[given]).all():
            bad = values[given][~np.isfinite(values[given])].index[0]
            self.rows.refuse(f"{name} must be finite", values[bad], [bad])
        there, codes = values[given], self.codes[given]
        first = there.groupby(codes).first()
        differ = there != codes.map(first)
        if differ.any():
            row = differ.index[differ][0]
            origin = there.index[codes == codes[row]][0]
            self.rows.refuse(
                f"a run must have one {name}",
                f"{there[origin]} and {there[row]} for run {self.ids[row]!r}",
                [origin, row],
                f"{ATTEMPT}, or leave the column out with --columns {name}=",
            )
        return first.reindex(range(int(self.codes.max()) + 1))

    def updates(self, runs: pd.DataFrame) -> "tuple[pd.Series[float], pd.Series[bool]]":
        """Return the step of each row in updates, NaN where absent, and which rows have one."""
        steps, given = self.rows.counts(self.columns.of["step"])
        return self.units.updates(steps, self.codes.map(runs["batch_size"])), given

    def varies(self, column: str) -> bool:
        """Return whether a column is not the same in all rows of some run."""
        texts = self.rows.texts(column).fillna("")
        return bool((texts.groupby(self.codes).nunique() > 1).any())

    def is_measured(self, column: str) -> bool:
        """Return whether a column of numbers is a measurement: it changes along most runs.

        So is one that no run has in its first row, such as a score at the end.
        """
        values, given = self.rows.numbers(column)
        groups = values[given].groupby(self.codes[given])
        varying = int((groups.nunique(dropna=False) > 1).sum())
        late = given.any() and not given[~self.codes.duplicated()].any()
        return bool(late or (varying and 2 * varying >= int((groups.size() > 1).sum())))
