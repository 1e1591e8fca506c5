"""Where what a page shows comes from: the analyses of studies, and the records in their folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.comparison.compare import compare
from analysis.cost.study_cost import cost_of
from analysis.measures.diagnostics import read_diagnostics
from analysis.page.record import Page, Records, StudyPage
from analysis.report.summary import Analysis, analyze
from analysis.tables.files import read_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import DIAGNOSTICS_FILE, STUDY_FILE
from analysis.tables.study import StudyTables


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Source:
    """A study to be shown.

    Attributes:
        folder: where it lies.
        tables: its tables.
        sweeps: the entries of its `provenance.json`; none for imported runs.
    """

    folder: ResultsFolder
    tables: StudyTables
    sweeps: Sequence[Mapping[str, Any]] = ()


def page_of(
    studies: Mapping[str, Source], target: float | None = None, reload_seconds: int | None = None
) -> Page:
    """Return the page of a study, or of several side by side, by unique names.

    The target holds for all; None is each study's own. The page reloads itself every
    `reload_seconds`; None is never.
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
    return Page(studies=shown, comparison=comparison, reload_seconds=reload_seconds)


def _records(source: Source, analysis: Analysis) -> Records:
    folder, diagnosed = source.folder, None
    if folder.exists(DIAGNOSTICS_FILE):
        b_crit = None if analysis.b_crit is None else analysis.b_crit.estimate
        found = read_diagnostics(folder, source.tables.config)
        diagnosed = replace(found, b_crit=b_crit)  # of this analysis, not of an earlier one
    return Records(
        study_file=read_file(folder, STUDY_FILE).decode(),
        sweeps=[_as_text(sweep) for sweep in source.sweeps],
        cost=cost_of(folder, analysis),
        diagnosed=diagnosed,
    )


def _as_text(sweep: Mapping[str, Any]) -> dict[str, str]:
    """Return what is recorded of a sweep as text by name; empty entries are left out."""
    found = {}
    for name, value in sweep.items():
        text = str(value)
        if isinstance(value, dict):
            text = ", ".join(f"{key} {part}" for key, part in value.items())
        elif isinstance(value, list):
            text = " ".join(map(str, value))
        if value is not None and text:
            found[str(name)] = text
    return found
