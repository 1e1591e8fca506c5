"""The contents of a page, from the folders of its studies, and the data that its script reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from analysis.comparison.compare import Comparison, compare
from analysis.comparison.report import comparison_record
from analysis.cost.record import cost_record
from analysis.cost.sentences import cost_sentences
from analysis.cost.study_cost import StudyCost, cost_of
from analysis.figures.one_study.metaparameters import metaparameters_data
from analysis.measures.batch_plan import KEY as BATCH_PLANS
from analysis.measures.diagnostics import Diagnosed, diagnostic_sentences, read_diagnostics
from analysis.measures.federated import batch_axis, local_steps, step_unit, steps_axis
from analysis.page.searches import Room, axes_record, near_best, search_records
from analysis.page.tables import (
    PageTable,
    study_tables,
    tables_of_comparison,
    tables_of_cost,
    tables_of_diagnostics,
)
from analysis.page.verdict import Verdict, verdict_of, with_cost
from analysis.page.views import curve_points, shortened, views
from analysis.report.record import findings_of, summary_record
from analysis.report.summary import Analysis, analyze
from analysis.tables.files import read_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import DIAGNOSTICS_FILE, ROLES, STATUSES, STUDY_FILE
from analysis.tables.study import StudyTables, json_rows


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Source:
    """A study to show: its folder, its tables, and the sweeps in its `provenance.json`."""

    folder: ResultsFolder
    tables: StudyTables
    sweeps: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Records:
    """The contents of a study's folder besides its tables."""

    study_file: str = ""  # the text of its `study.toml`
    # the provenance of each sweep, text by name; none for imported runs
    sweeps: Sequence[Mapping[str, str]] = ()
    cost: StudyCost | None = None  # the cost of training; None if no step was timed
    # the results of `batchscale diagnose`; None if it did not run
    diagnosed: Diagnosed | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StudyPage:
    """The part of a page on one study."""

    analysis: Analysis
    label: str  # distinguishes it from the other studies of the page
    records: Records
    summary: Mapping[str, Any]  # its `summary_record`, the content of `summary.json`
    verdict: Verdict  # which batch size to use
    views: Sequence[Mapping[str, Any]]  # the curve at each target, the analysis itself first
    near: pd.DataFrame  # the hyperparameters near the best, from `near_best`
    tables: Sequence[PageTable]  # its tables as text
    findings: Mapping[str, Sequence[str]]  # sentences by topic
    cost_sentences: Sequence[str]  # empty if no step was timed
    cost_tables: Sequence[PageTable]
    diagnoses: Mapping[str, Sequence[str]]  # sentences by diagnostic
    diagnostic_tables: Sequence[PageTable]

    @classmethod
    def of(cls, analysis: Analysis, label: str, records: Records) -> "StudyPage":
        """Return the page of an analysis; the arguments are attributes."""
        summary = summary_record(analysis)
        near = near_best(analysis.study, analysis.target)
        cost, diagnosed = records.cost, records.diagnosed
        verdict = verdict_of(summary)
        return cls(
            analysis=analysis,
            label=label,
            records=records,
            summary=summary,
            verdict=with_cost(verdict, cost) if cost else verdict,
            views=views(analysis),
            near=near,
            tables=study_tables(analysis, summary, near),
            findings=findings_of(analysis),
            cost_sentences=cost_sentences(cost) if cost else (),
            cost_tables=tables_of_cost(cost) if cost else (),
            diagnoses=diagnostic_sentences(diagnosed) if diagnosed else {},
            diagnostic_tables=tables_of_diagnostics(diagnosed) if diagnosed else (),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Page:
    """A page on one or several studies."""

    studies: Sequence[StudyPage]  # at least one
    comparison: Comparison | None = None  # of all of them; None for one
    reload_seconds: int | None = None  # how often the page reloads itself; None for never

    @property
    def title(self) -> str:
        """The title of the page, one line."""
        names = [study.analysis.study.name for study in self.studies]
        return names[0] if len(names) == 1 else f"{len(names)} studies compared"

    @property
    def comparison_tables(self) -> Sequence[PageTable]:
        """The tables of the comparison; none for one study."""
        return [] if self.comparison is None else tables_of_comparison(self.comparison)


def page_of(studies: Mapping[str, Source], target: float | None = None) -> Page:
    """Return the page of one or several studies, given by unique names.

    The target applies to all; None stands for each study's own.
    """
    comparison, labels = None, list(studies)
    if len(studies) == 1:
        analyses = [analyze(source.tables, target) for source in studies.values()]
    else:
        comparison = compare({name: one.tables for name, one in studies.items()}, target)
        analyses = [study.analysis for study in comparison.studies]
        labels = [study.label for study in comparison.studies]
    shown = [
        StudyPage.of(analysis, label, _records(source, analysis))
        for analysis, label, source in zip(analyses, labels, studies.values(), strict=True)
    ]
    return Page(studies=shown, comparison=comparison)


def _records(source: Source, analysis: Analysis) -> Records:
    folder, diagnosed = source.folder, None
    if folder.exists(DIAGNOSTICS_FILE):
        b_crit = None if analysis.b_crit is None else analysis.b_crit.estimate
        recorded = read_diagnostics(folder, source.tables.config)
        diagnosed = replace(recorded, b_crit=b_crit)  # of this analysis, not of an earlier one
    return Records(
        study_file=read_file(folder, STUDY_FILE).decode(),
        sweeps=[_as_text(sweep) for sweep in source.sweeps],
        cost=cost_of(folder, analysis),
        diagnosed=diagnosed,
    )


def _as_text(sweep: Mapping[str, Any]) -> dict[str, str]:
    """Return the provenance of a sweep as text by name, without empty entries."""
    texts = {}
    for name, value in sweep.items():
        text = str(value)
        if isinstance(value, dict):
            text = ", ".join(f"{key} {part}" for key, part in value.items())
        elif isinstance(value, list):
            text = " ".join(map(str, value))
        if value is not None and text:
            texts[str(name)] = text
    return texts


def page_record(page: Page, room: Room) -> dict[str, Any]:
    """Return the data that the page's script reads, with as many trials and curves as fit."""
    share = room.scaled(1 / len(page.studies))
    return {
        "statuses": list(STATUSES),
        "roles": list(ROLES),
        "studies": [_study_record(study, share) for study in page.studies],
        "comparison": None if page.comparison is None else _comparison_record(page.comparison),
        "reload_seconds": page.reload_seconds,
    }


def thinned_sentences(record: Mapping[str, Any]) -> list[str]:
    """Return sentences on the trials and curves that a `page_record` leaves out."""
    searches = [search for study in record["studies"] for search in study["searches"]]
    trials = sum(search["of"] for search in searches)
    shown = sum(len(search["trial"]) for search in searches)
    curves = sum(len(search["curves"]["trial"]) for search in searches)
    sentences = []
    if shown < trials:
        sentences.append(
            f"The scatter plots show {shown:,} of {trials:,} trials: at each batch size the "
            "fastest ones and an even selection of the others. All numbers use all trials."
        )
    if curves < trials:
        sentences.append(
            f"{curves:,} training curves of {trials:,} trials are shown, selected in the same way."
        )
    return sentences


def _study_record(study: StudyPage, room: Room) -> dict[str, Any]:
    analysis = study.analysis
    config = analysis.study.config
    return {
        "label": study.label,
        "title": analysis.title,
        "summary": study.summary,
        "batch_axis": batch_axis([config]),
        "steps_axis": steps_axis([config]),
        "local_steps": local_steps(config),
        "batch_plans": config.get(BATCH_PLANS, {}),
        "views": study.views,
        "space": axes_record(analysis),
        "searches": search_records(analysis, [view["target"] for view in study.views], room),
        "near_best": json_rows(study.near),
        "rules": json_rows(metaparameters_data(analysis)),
        "cost": None if study.records.cost is None else cost_record(study.records.cost),
    }


def _comparison_record(comparison: Comparison) -> dict[str, Any]:
    at = curve_points(comparison.table["batch_size"])
    configs = {study.name: study.analysis.study.config for study in comparison.studies}
    return {
        "batch_axis": batch_axis([*configs.values()]),
        "steps_axis": steps_axis([*configs.values()]),
        "units": {name: step_unit(config) for name, config in configs.items()},
        "at": at.tolist(),
        "record": comparison_record(comparison),
        "curves": {
            study.name: None if study.fit is None else shortened(study.fit.predict(at))
            for study in comparison.studies
        },
    }
