"""Noise, curvature and the other diagnostics of replayed trials, in sentences.

`diagnostics.parquet` has one row per number, with its trial, moment and quantity.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from analysis.fitting.estimates import Estimate, rounded
from analysis.measures.branches import BRANCH, interval_text, local_sentences
from analysis.measures.federated import example_unit
from analysis.measures.layers import layer_sentences, layer_table
from analysis.measures.seed_means import over_seeds, seed_counts
from analysis.tables.files import as_written, read_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import DIAGNOSTICS_FILE, SUMMARY_FILE
from analysis.tables.study import read_table

START, END = "start", "end"
EQUAL = {END: "equal target", "equal steps": "equal steps", "equal examples": "equal examples"}
"""Moments at which trials of all batch sizes are compared, and what is equal there."""
_BY_SIGN = (
    *("adam", "adamw", "nadam", "radam", "adamax", "adagrad", "rmsprop", "adadelta", "adafactor"),
    *("sparse-adam", "rprop", "merit", "schedule-free-adamw", "signum", "lion"),
)
MOVES_BY: Mapping[str, str] = {
    **dict.fromkeys(_BY_SIGN, "sign"),
    **dict.fromkeys(("muon", "shampoo", "soap"), "spectral"),
}
"""The norm in which an optimizer moves, which its noise scale should use; else Euclidean."""
_CAVEAT = (
    "Expect agreement with b_crit in order of magnitude only: the noise scale leaves curvature "
    "out, and it changes during training (McCandlish et al. 2018; the ratios in their table 1 are "
    "0.05 to 8)."
)
_MIN_TREND = 5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Diagnosed:
    """The diagnostics of a results folder."""

    table: pd.DataFrame  # from `read_diagnostics`
    subject: str  # workload and optimizer, for titles
    optimizer: str  # name of the optimizer
    b_crit: Estimate | None = None  # the critical batch size that `analyze` recorded, if it ran
    unit: str = "examples"  # what batch sizes count
    # number of seeds as text, for each diagnostic with several at a batch size
    seeds: Mapping[str, str] = field(default_factory=dict)

    def of(self, what: str) -> str:
        """Return the subject of a diagnostic's figure."""
        seeds = self.seeds.get(what)
        return self.subject if seeds is None else f"{self.subject}, means over {seeds} seeds"

    def rows(self, what: str, quantity: str, variant: str = "", moment: str = END) -> pd.DataFrame:
        """Return the known values of one quantity at one moment, by batch size."""
        return self.all_rows(what, quantity, variant, moment).dropna(subset="value")

    def all_rows(self, what: str, quantity: str, variant: str, moment: str = END) -> pd.DataFrame:
        """Return the rows of one quantity at one moment; values that are not finite are null."""
        table = self.table
        kept = (table["what"] == what) & (table["quantity"] == quantity)
        kept &= (table["variant"] == variant) & (table["moment"] == moment)
        return table[kept].sort_values(["batch_size", "x"])

    def only(self, what: Sequence[str]) -> "Diagnosed":
        """Return these diagnostics restricted to some kinds."""
        return replace(self, table=self.table[self.table["what"].isin(what)])

    @property
    def measured_b_crit(self) -> Estimate | None:
        """The critical batch size that `analyze` recorded; None if it is not identified."""
        return self.b_crit if self.b_crit is not None and self.b_crit.identified else None

    @property
    def norm(self) -> str:
        """The norm in which the optimizer moves."""
        return MOVES_BY.get(self.optimizer, "euclidean")


def read_diagnostics(folder: ResultsFolder, config: Mapping[str, Any]) -> Diagnosed:
    """Return the diagnostics in a results folder, whose study has this configuration."""
    b_crit = None
    if folder.exists(SUMMARY_FILE):
        content = read_file(folder, SUMMARY_FILE)
        with as_written(folder, SUMMARY_FILE):
            record = json.loads(content).get("critical_batch_sizes") or {}
            b_crit = Estimate.of(record["b_crit"]) if "b_crit" in record else None
    optimizer = str(config["optimizer"])
    table = read_table(folder, DIAGNOSTICS_FILE)
    seeds = seed_counts(table)
    return Diagnosed(
        table=over_seeds(table) if seeds else table,
        seeds=seeds,
        subject=f"{str(config['workload']).rpartition(':')[2]}, {optimizer}",
        optimizer=optimizer,
        b_crit=b_crit,
        unit=example_unit(config),
    )


def diagnostic_sentences(results: Diagnosed) -> dict[str, list[str]]:
    """Return the findings of each diagnostic that was measured, one sentence each."""
    measured = set(results.table["what"])
    means = {
        name: f"Means over {count} fresh seeds of the best point at each batch size, with 95% "
        "intervals for seeds."
        for name, count in results.seeds.items()
    }
    return {
        name: [*([means[name]] if name in means else ()), *sentences(results)]
        for name, sentences in SENTENCES.items()
        if name in measured
    }


def course(results: Diagnosed, norm: str) -> pd.DataFrame:
    """Return the noise scale along every run: batch_size, step, value, low and high."""
    table = results.table
    kept = (table["quantity"] == "noise_scale") & (table["variant"] == norm)
    rows = table[kept].sort_values(["batch_size", "step"])
    return rows[["batch_size", "moment", "step", "value", "low", "high"]].reset_index(drop=True)


def _noise(results: Diagnosed) -> Iterator[str]:
    for norm in dict.fromkeys(("euclidean", results.norm)):
        runs = course(results, norm).dropna(subset="value")
        name = "tr(S) / |G|^2" if norm == "euclidean" else f"in the {norm} norm"
        ends = [runs[runs["moment"] == moment].set_index("batch_size") for moment in (START, END)]
        both = ends[0].index.intersection(ends[1].index)
        if not len(both):
            yield (
                f"The noise scale {name} is not known at any batch size: with batch statistics, "
                "--examples must cover at least 8 batches; without them, |G| is too small to "
                "distinguish from noise."
            )
            continue
        first, last = both.min(), both.max()
        spans = [
            f"from {_value(ends[0].loc[size])} to {_value(ends[1].loc[size])} at B = {size}"
            for size in dict.fromkeys((first, last))
        ]
        yield f"Over training, the noise scale {name} goes {', '.join(spans)}."
        typical = float(np.median([_mean(own) for _, own in runs.groupby("batch_size")]))
        text = f"Its mean over the steps of a run is {rounded(typical)}, the median of all runs"
        b_crit = results.measured_b_crit
        if b_crit is None:
            yield f"{text}; run `analyze` on more batch sizes to compare it with b_crit."
            continue
        ratio = rounded(typical / b_crit.value)
        yield f"{text}, {ratio} times the measured {b_crit.text('b_crit')}."
    yield _CAVEAT


def _mean(run: pd.DataFrame) -> float:
    """Return the mean noise scale over the steps of a run, interpolated between its moments."""
    steps, values = run["step"].to_numpy(float), run["value"].to_numpy(float)
    if len(steps) == 1:
        return float(values[0])
    return float(np.trapezoid(values, steps) / (steps[-1] - steps[0]))


def _value(row: "pd.Series[Any]") -> str:
    return rounded(row["value"]) + interval_text(row)


def _curvature(results: Diagnosed) -> Iterator[str]:
    top = results.rows("curvature", "eigenvalue", "1")
    yield _against("The largest eigenvalue of the Hessian at the target is", top)
    yield _against("Its trace is", results.rows("curvature", "trace"))
    product = results.rows("curvature", "lr_times_eigenvalue").set_index("batch_size")["value"]
    limit = results.rows("curvature", "stability_limit").set_index("batch_size")["value"]
    share = (product / limit).dropna()
    if share.empty:
        yield f"No limit of learning rate times eigenvalue is known for {results.optimizer}."
        return
    yield (
        f"Learning rate times eigenvalue is {rounded(share.min())} (B = {share.idxmin()}) to "
        f"{rounded(share.max())} (B = {share.idxmax()}) of the stability limit of a quadratic."
    )


def _sharpness(results: Diagnosed) -> Iterator[str]:
    rows = results.table[results.table["what"] == "sharpness"]
    names = {"keskar": "Keskar's sharpness", "adaptive": "Adaptive sharpness"}
    for quantity, variant in rows[["quantity", "variant"]].drop_duplicates().to_numpy():
        own = results.rows("sharpness", quantity, variant)
        yield _against(f"{names[quantity]} ({variant}) is", own)


def _landscape(results: Diagnosed) -> Iterator[str]:
    line = results.all_rows("landscape", "train_loss", "line")
    for x, where in ((0.0, "At the solution"), (0.5, "Half a filter's length away")):
        sides = line[np.isclose(line["x"].abs(), x)].groupby("batch_size")["value"]
        mean = sides.agg(lambda losses: losses.mean(skipna=False)).dropna().reset_index()
        yield _against(f"{where} the training loss is", mean)
    table = results.table
    for variant in table.loc[table["variant"].str.startswith("to B = "), "variant"].unique():
        for split, name in (("train", "training"), ("val", "validation")):
            rows = results.all_rows("landscape", f"{split}_loss", variant)
            ends = rows[np.isclose(rows["x"], 0) | np.isclose(rows["x"], 1)]["value"].dropna()
            if len(ends) < 2:
                continue
            inside = rows[rows["x"].between(0, 1)]
            top = f"with a maximum of {_value(inside.nlargest(1, 'value').iloc[0])}"
            if inside["value"].isna().any():
                top = "and is not finite somewhere"
            yield (
                f"From the solution of B = {rows['batch_size'].iloc[0]} {variant} the {name} loss "
                f"goes from {rounded(ends.iloc[0])} to {rounded(ends.iloc[-1])}, {top} in between."
            )


def _gap(results: Diagnosed) -> Iterator[str]:
    for moment, equal in EQUAL.items():
        rows = results.rows("gap", "error_gap", moment=moment)
        if rows.empty:
            continue
        gaps = [
            f"{row['value']:.2g}{_signed_interval(row)} at B = {row['batch_size']}"
            for _, row in rows.iloc[[0, -1] if len(rows) > 1 else [0]].iterrows()
        ]
        yield f"At {equal}, validation error minus training error is {', '.join(gaps)}."
    tested = results.rows("gap", "test_error")
    if len(tested):
        yield _against("Test error at the target is", tested)


def _signed_interval(row: "pd.Series[Any]") -> str:
    return "" if pd.isna(row["low"]) else f" ({row['low']:.2g} to {row['high']:.2g})"


def _against(start: str, rows: pd.DataFrame) -> str:
    """Return a sentence on a quantity at the smallest and the largest batch size."""
    if rows.empty:
        return f"{start} not known at any batch size."
    first, last = rows.iloc[0], rows.iloc[-1]
    text = f"{start} {first['value']:.2g} at B = {first['batch_size']:.0f}"
    if len(rows) == 1:
        return f"{text}."
    text += f" and {last['value']:.2g} at B = {last['batch_size']:.0f}"
    if len(rows) < _MIN_TREND or rows["value"].nunique() == 1:
        return f"{text}."
    trend = spearmanr(rows["batch_size"].astype(float), rows["value"])
    return f"{text}, the rank correlation with B {trend.statistic:.2f} (p = {trend.pvalue:.2g})."


SENTENCES: Mapping[str, Callable[[Diagnosed], Iterator[str] | tuple[str, ...]]] = {
    "noise": _noise,
    "curvature": _curvature,
    "sharpness": _sharpness,
    "landscape": _landscape,
    "gap": _gap,
    BRANCH: lambda results: local_sentences(results.table, results.measured_b_crit, results.unit),
    "layers": lambda results: layer_sentences(layer_table(results.table)),
}
"""The sentences on each diagnostic."""
