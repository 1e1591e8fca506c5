"""Comparison of studies from Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.comparison.compare import compare as compare_studies
from analysis.comparison.labels import study_folders
from analysis.comparison.report import steps_table
from analysis.comparison.sentences import comparison_sentences
from batchscale.arguments import is_place, refuse_target, refuse_unless
from batchscale.loading import Study, page
from study.storage.consolidate import study_tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class StudyComparison:
    """Studies compared at a target, as `batchscale compare` compares them; nothing is written.

    A notebook shows the curves, the table and the findings.
    """

    def __init__(
        self,
        studies: Sequence[Study | str | Path],
        target: float | None = None,
        equal_trials: bool = False,
    ) -> None:
        """Read and compare studies; the arguments are those of `compare`."""
        sound = isinstance(studies, Sequence) and not is_place(studies)
        sound = sound and all(isinstance(study, Study) or is_place(study) for study in studies)
        refuse_unless(sound, "studies", "a list of studies or paths", studies)
        refuse_target(target)
        refuse_unless(isinstance(equal_trials, bool), "equal_trials", "a bool", equal_trials)
        locations = [s.folder.location if isinstance(s, Study) else str(s) for s in studies]
        folders = study_folders(locations)
        tables = {name: study_tables(folder) for name, folder in folders.items()}
        self._comparison = compare_studies(tables, target, equal_trials)

    @property
    def table(self) -> pd.DataFrame:
        """Steps to target, one row per study and batch size."""
        return self._comparison.table.copy()

    @property
    def b_crit_ratios(self) -> pd.DataFrame:
        """Ratio of critical batch sizes, one row per pair: over, under, value, low, high, interval.

        The value is null unless the data bound it on both sides; an open end is null too.
        """
        rows = [
            {"over": ratio.over, "under": ratio.under, **ratio.estimate.record()}
            for ratio in self._comparison.ratios
        ]
        numbers = ["value", "low", "high"]
        table = pd.DataFrame(rows, columns=["over", "under", *numbers, "interval"])
        return table.astype(dict.fromkeys(numbers, "float64"))

    def sentences(self) -> tuple[str, ...]:
        """Return the findings, one sentence each, as in `comparison.md`."""
        return comparison_sentences(self._comparison)

    def figure(self, name: str = "comparison", ax: "Axes | None" = None) -> "Figure":
        """Return a figure that `batchscale compare` writes, as a matplotlib Figure.

        Args:
            name: a key of `analysis.figures.comparison.COMPARISON_FIGURES`.
            ax: matplotlib axes to draw into, for a figure of one panel; None for a new figure.

        Raises:
            BatchscaleError: there is no such figure, the studies lack the data for it, or it has
                several panels and axes are given.
        """  # noqa: DOC502  (raised by draw)
        from analysis.figures.comparison import draw

        return draw(self._comparison, name, ax)

    def __repr__(self) -> str:
        labels = ", ".join(study.label for study in self._comparison.studies)
        return f"StudyComparison of {labels}"

    def _repr_html_(self) -> str:
        table = steps_table(self._comparison)
        return page("Comparison", table, self.sentences(), self.figure())


def compare(
    studies: Sequence[Study | str | Path],
    target: float | None = None,
    equal_trials: bool = False,
) -> StudyComparison:
    """Return a comparison of studies, with a test of whether their critical batch sizes differ.

    Args:
        studies: two or more, loaded or as paths or URIs of their results folders.
        target: validation error for all, not tighter than those raced to; None for each one's own.
        equal_trials: whether to use only as many search trials of each as all of them have.

    Raises:
        BatchscaleError: there are fewer than two, or they cannot be compared.
    """  # noqa: DOC502  (raised inside)
    return StudyComparison(studies, target, equal_trials)
