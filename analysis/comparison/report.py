"""A comparison of studies as JSON, as a Markdown page and on a terminal."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace

import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis.comparison.compare import Compared, Comparison
from analysis.comparison.fixed_epochs import epochs_caption, epochs_table, fixed_epochs
from analysis.comparison.ratios import (
    example_ratios,
    example_ratios_table,
    rule_costs,
    rule_costs_table,
)
from analysis.comparison.sentences import comparison_sentences
from analysis.errors import AnalysisError
from analysis.fitting.critical import DEFINITIONS
from analysis.fitting.estimates import Estimate, percent, rounded
from analysis.measures.batch_plan import BatchPlan, is_planned
from analysis.measures.federated import local_steps, step_unit
from analysis.report.fits import critical_record, fits_record
from analysis.report.write import defined_markdown, markdown_list, markdown_table
from analysis.tables.files import json_bytes
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import SCHEMA_VERSION
from analysis.tables.study import json_rows

COMPARISON_JSON = "comparison.json"
COMPARISON_MD = "comparison.md"


def check_destination(folder: ResultsFolder, locations: Mapping[str, str]) -> None:
    """Refuse a folder that is not empty, unless by an earlier comparison of the same studies."""
    if folder.is_empty:
        return
    content = "other files"
    if folder.exists(COMPARISON_JSON):
        try:
            earlier = json.loads(folder.read(COMPARISON_JSON))["folders"]
        except (ValueError, KeyError, TypeError, RecursionError):
            earlier = None
        if earlier == dict(locations):
            return
        if isinstance(earlier, dict):
            content = f"a comparison of {', '.join(map(str, earlier.values()))}"
    raise AnalysisError(
        "a comparison must be written to a new folder, or over an earlier one of the same "
        f"studies, got {folder} with {content}; choose another --to"
    )


def write_comparison(
    comparison: Comparison, folder: ResultsFolder, locations: Mapping[str, str]
) -> list[str]:
    """Write `comparison.json` and `comparison.md`; return their names."""
    record = {"folders": dict(locations), **comparison_record(comparison)}
    folder.write(COMPARISON_JSON, json_bytes(record))
    folder.write(COMPARISON_MD, comparison_markdown(comparison).encode())
    return [COMPARISON_JSON, COMPARISON_MD]


def comparison_record(comparison: Comparison) -> dict[str, object]:
    """Return a comparison as JSON data; null where unknown or unbounded."""
    equality, to = comparison.equality, comparison.normalisation
    return {
        "schema_version": SCHEMA_VERSION,
        "quantity": comparison.quantity,
        "compared": "median of replicates" if comparison.medians else "fewest steps",
        "studies": [_study_record(study) for study in comparison.studies],
        "table": json_rows(comparison.table),
        "normalisation": {
            "batch_size": to.batch_size,
            "by": "steps measured there" if to.measured else "the study's hyperbola there",
            "steps": dict(to.by),
        },
        "equal_b_crit": None if equality is None else asdict(equality),
        "b_crit_ratios": [
            {"over": ratio.over, "under": ratio.under, **ratio.estimate.record()}
            for ratio in comparison.ratios
        ],
        "example_ratios": json_rows(example_ratios(comparison)),
        "rule_costs": json_rows(rule_costs(comparison)),
        "fixed_epochs": json_rows(fixed_epochs(comparison)),
        "definitions": dict(DEFINITIONS),
        "sentences": list(comparison_sentences(comparison)),
    }


def _study_record(study: Compared) -> dict[str, object]:
    config = study.analysis.study.config
    return {
        "name": study.name,
        "label": study.label,
        "workload": config["workload"],
        "optimizer": config["optimizer"],
        "target": study.analysis.target,
        "first": study.analysis.first,
        "unfinished": list(study.analysis.unfinished),
        **fits_record(study.fits, local_steps(config)),
        "critical_batch_sizes": critical_record(study.critical),
    }


def comparison_markdown(comparison: Comparison) -> str:
    """Return a comparison as a Markdown page."""
    names = [f"{s.label}: {s.name}, {s.analysis.title}" for s in comparison.studies]
    defined = [name for name in DEFINITIONS if any(name in s.critical for s in comparison.studies)]
    parts = [
        "# Comparison",
        markdown_list(names),
        markdown_list(comparison_sentences(comparison)),
        *(
            f"{caption}:\n\n{markdown_table(rows, names_first=True)}"
            for caption, rows in comparison_tables(comparison).items()
        ),
    ]
    if defined:
        parts.append(defined_markdown(defined))
    return "\n\n".join(parts) + "\n"


def comparison_tables(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Return the tables that have rows, by caption."""
    normalized = "" if comparison.normalisation.batch_size is None else " (normalized)"
    planned = any(is_planned(study.analysis.study.config) for study in comparison.studies)
    counted = "with batch schedules" if planned else "one batch in each local step of a round"
    tables = {
        f"Steps to target{normalized}": steps_table(comparison),
        f"Examples to target, {counted}": examples_table(comparison),
        "The hyperbola S_min + E_min / B and the critical batch sizes, with 95% intervals": (
            fits_table(comparison)
        ),
        f"Examples to target over those of {comparison.studies[0].label}": (
            example_ratios_table(comparison)
        ),
        "Steps of each scaling rule relative to the tuned study": rule_costs_table(comparison),
        epochs_caption(comparison): epochs_table(comparison),
    }
    return {caption: rows for caption, rows in tables.items() if rows is not None and len(rows)}


def steps_table(comparison: Comparison) -> pd.DataFrame:
    """Return steps as text: one row per batch size, "-" where there is none.

    Returns:
        Column B, and for each study its steps with the normalized ones in parentheses, or "> n"
        where n steps were not enough.
    """
    table = comparison.table
    rows = zip(table["compared"], table["bound"], table["normalised"], strict=True)
    return comparison.side_by_side(table, (_cell(*row) for row in rows))


def examples_table(comparison: Comparison) -> pd.DataFrame | None:
    """Return a table like `steps_table` of examples; None where every step uses equally many."""
    configs = {study.name: study.analysis.study.config for study in comparison.studies}
    planned = any(map(is_planned, configs.values()))
    if len({local_steps(config) for config in configs.values()}) == 1 and not planned:
        return None
    used = comparison.table.copy()
    plans = [
        BatchPlan.of(configs[name], size)
        for name, size in zip(used["study"], used["batch_size"], strict=True)
    ]
    for column in ("compared", "bound"):
        steps = zip(plans, used[column], strict=True)
        used[column] = pd.array([n if pd.isna(n) else plan.examples(n) for plan, n in steps])
    return steps_table(replace(comparison, table=used.assign(normalised=None)))


def _cell(compared: float | None, bound: float | None, normalised: float | None) -> str:
    if compared is None or pd.isna(compared):
        return "-" if bound is None or pd.isna(bound) else f"> {rounded(bound)}"
    share = "" if normalised is None or pd.isna(normalised) else f" ({normalised:.3g})"
    return f"{compared:.0f}{share}"


def fits_table(comparison: Comparison) -> pd.DataFrame:
    """Return the hyperbolas and critical batch sizes as text, one row per quantity."""
    studies = comparison.studies
    fits = [study.fit for study in studies]
    if all(fit is None for fit in fits):
        return pd.DataFrame()
    units = {step_unit(study.analysis.study.config) for study in studies}
    unit = " or ".join(sorted(units))
    # a round uses the examples of all its local steps
    local = [local_steps(study.analysis.study.config) for study in studies]
    e_min = [fit.e_min.times(n) if fit else None for fit, n in zip(fits, local, strict=True)]
    rows = [
        [f"S_min, {unit}", *(_text(fit.s_min if fit else None) for fit in fits)],
        ["E_min, examples", *map(_text, e_min)],
    ]
    for name in DEFINITIONS:
        if any(name in study.critical for study in studies):
            sizes = [study.critical.get(name) for study in studies]
            rows.append([name, *(_text(size.estimate if size else None) for size in sizes)])
    references = (str(min(study.reached)) if study.critical else "-" for study in studies)
    rows.append(["B_ref (of b_20)", *references])
    spreads = ("-" if fit is None else percent(math.expm1(fit.sigma), 1) for fit in fits)
    rows.append(["spread", *spreads])
    return pd.DataFrame(rows, columns=["", *(study.label for study in studies)])


def _text(estimate: Estimate | None) -> str:
    return "-" if estimate is None else estimate.text()


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the tables and the findings."""
    for caption, rows in comparison_tables(comparison).items():
        console.print(f"{caption}:", markup=False, soft_wrap=True)
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="underline")
        for place, name in enumerate(rows.columns):
            table.add_column(name, justify="right" if place else "left", overflow="fold")
        for row in rows.itertuples(index=False):
            table.add_row(*row)
        console.print(table)
        console.print()
    for sentence in comparison_sentences(comparison):
        console.print(sentence, markup=False, soft_wrap=True)
