"""Where what a page shows comes from: the analyses of studies, and the records in their folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.comparison.compare import compare
from analysis.page.record import Page, StudyPage
from analysis.report.summary import analyze
from analysis.tables.files import read_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import STUDY_FILE
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
    """Return the page of a study, or of several side by side.

    Args:
        studies: what is shown, by unique names.
        target: validation error to get below in all; None for each study's own.
        reload_seconds: how often the page loads itself anew; None for never.

    Raises:
        AnalysisError: a study cannot be analyzed at the target, the studies cannot be compared, or
            a study file is damaged.
    """  # noqa: DOC502  (raised inside)
    comparison, labels = None, list(studies)
    if len(studies) == 1:
        analyses = [analyze(source.tables, target) for source in studies.values()]
    else:
        comparison = compare({name: one.tables for name, one in studies.items()}, target)
        analyses = [study.analysis for study in comparison.studies]
        labels = [study.label for study in comparison.studies]
    shown = [
        StudyPage.of(
            analysis,
            label,
            read_file(source.folder, STUDY_FILE).decode(),
            [_as_text(sweep) for sweep in source.sweeps],
        )
        for analysis, label, source in zip(analyses, labels, studies.values(), strict=True)
    ]
    return Page(studies=shown, comparison=comparison, reload_seconds=reload_seconds)


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
