"""Results of a study: its tables, steps to target, fits, regimes and figures."""

import base64
import copy
import io
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.fitting.critical import CriticalBatchSize
from analysis.fitting.estimates import Estimate
from analysis.fitting.fit import ScalingFit
from analysis.fitting.regimes import Regimes
from analysis.report.fits import critical_record
from analysis.report.record import sentences
from analysis.report.summary import Analysis, analyze
from analysis.report.write import readable_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import CANDIDATES
from batchscale.arguments import is_place, refuse_target, refuse_unless
from study.storage.consolidate import study_tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.cost.study_cost import StudyCost


class Study:
    """A study in a results folder, as it was when loaded; nothing is written.

    A notebook shows its curve, its table and the findings.

    Attributes:
        folder: where the results are.
    """

    def __init__(self, location: str | Path) -> None:
        """Read the study at a path or URI.

        Raises:
            BatchscaleError: the folder holds no study, or a file in it is damaged.
        """  # noqa: DOC502  (raised inside)
        refuse_unless(is_place(location), "location", "a path or a URI", location)
        self.folder = ResultsFolder.at(location)
        self._tables = study_tables(self.folder)
        self._analyses: dict[float | None, Analysis] = {}

    @property
    def name(self) -> str:
        """Name of the results folder."""
        return self._tables.name

    @property
    def config(self) -> Mapping[str, Any]:
        """The study file with every default filled in."""
        return copy.deepcopy(self._tables.config)

    @property
    def target(self) -> float:
        """Validation error (or loss) to get below, from the study file."""
        return self._tables.target

    @property
    def trials(self) -> pd.DataFrame:
        """All trials, one row each; `role` distinguishes search trials from replicates."""
        return self._tables.trials.copy()

    @property
    def search_trials(self) -> pd.DataFrame:
        """Trials that compete for the fewest steps: search, extension and warm start."""
        return self._with_roles(*CANDIDATES)

    @property
    def replicates(self) -> pd.DataFrame:
        """Re-runs of points with fresh seeds, including those of a recipe's scaling rule."""
        return self._with_roles("replicate", "recipe")

    @property
    def curves(self) -> pd.DataFrame:
        """All measurements, one row each; batch_size, role and trial identify the trial."""
        return self._tables.curves.copy()

    def analysis(self, target: float | None = None) -> Analysis:
        """Return the complete analysis at a target, as `batchscale analyze` makes it.

        Args:
            target: validation error to get below; None for the study's own. Where trials stopped at
                the target, it must not be tighter than that.

        Raises:
            BatchscaleError: the target cannot be judged from the recorded curves.
        """  # noqa: DOC502  (raised by analyze)
        refuse_target(target)
        if target not in self._analyses:
            self._analyses[target] = analyze(self._tables, target)
        return self._analyses[target]

    def steps(self, target: float | None = None) -> pd.DataFrame:
        """Return steps to target, one row per batch size, with bracket, winner and replicates."""
        return self.analysis(target).table.copy()

    @property
    def b_crit(self) -> Estimate | None:
        """The critical batch size at the study's target; None if too few points reached it.

        Its interval covers the noise of seeds, under-tuning and the form of the curve, as far as
        the study shows them; `sentences` says which. Unless it is `identified`, only a bound is
        known, and the value is NaN.
        """
        found = self.analysis().b_crit
        return None if found is None else found.estimate.known

    @property
    def fits(self) -> Mapping[str, ScalingFit]:
        """The fitted curves by model, at the study's target; empty if too few points reached it."""
        fits = self.analysis().fits
        return {} if fits is None else fits.by_name

    @property
    def regimes(self) -> Regimes | None:
        """The regimes at the study's target; None if too few batch sizes reached it."""
        return self.analysis().regimes

    def critical_batch_sizes(self, target: float | None = None) -> pd.DataFrame:
        """Return the critical batch size by every definition, with its 95 % interval.

        Returns:
            Index: the name of the definition. Columns: value, low and high in examples, each null
            unless the data identify it; interval, which ends the data set; note.
        """
        return critical_table(self.analysis(target).critical)

    def sentences(self, target: float | None = None) -> tuple[str, ...]:
        """Return the findings, one sentence each, as in `summary.md`."""
        return sentences(self.analysis(target))

    def figure(
        self,
        name: str = "steps_vs_batch",
        target: float | None = None,
        ax: "Axes | None" = None,
    ) -> "Figure":
        """Return a figure that `batchscale analyze` writes, as a matplotlib Figure.

        Your matplotlib style, from a style sheet or `rcParams`, is kept.

        Args:
            name: a key of `analysis.figures.FIGURES`.
            target: as for `analysis`.
            ax: matplotlib axes to draw into, for a figure of one panel, whose figure is then
                returned; None for a new figure.

        Raises:
            BatchscaleError: there is no such figure, the study lacks the data for it, or it has
                several panels and axes are given.
        """  # noqa: DOC502  (raised by draw)
        from analysis.figures import draw

        return draw(self.analysis(target), name, ax)

    def cost(self, target: float | None = None) -> "StudyCost | None":
        """Return the cost of training, from the step times of `batchscale cost`; None without any.

        Price and devices are those of the latest `batchscale cost`.

        Raises:
            BatchscaleError: a file is damaged, or the target cannot be judged.
        """  # noqa: DOC502  (raised inside)
        from analysis.cost.study_cost import cost_of

        return cost_of(self.folder, self.analysis(target))

    def __repr__(self) -> str:
        return f"Study({self.folder.location!r}): {self.analysis().title}"

    def _repr_html_(self) -> str:
        analysis = self.analysis()
        return page(analysis.title, readable_table(analysis), sentences(analysis), self.figure())

    def _with_roles(self, *roles: str) -> pd.DataFrame:
        trials = self._tables.trials
        return trials[trials["role"].isin(roles)].reset_index(drop=True)


def load(location: str | Path) -> Study:
    """Return the study in a results folder.

    Args:
        location: a path, or a URI such as `s3://bucket/results/digits`.

    Raises:
        BatchscaleError: the folder holds no study, or a file in it is damaged.
    """  # noqa: DOC502  (raised by Study)
    return Study(location)


def critical_table(critical: Mapping[str, CriticalBatchSize]) -> pd.DataFrame:
    """Return the table that `Study.critical_batch_sizes` describes."""
    columns = ["value", "low", "high", "interval", "note"]
    table = pd.DataFrame.from_dict(critical_record(critical), orient="index", columns=columns)
    numbers = dict.fromkeys(columns[:3], "float64")
    return table.astype(numbers).rename_axis("definition")


def page(title: str, table: pd.DataFrame, sentences: Iterable[str], figure: "Figure") -> str:
    """Return results as HTML for a notebook; text is escaped, the figure is embedded as PNG."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    encoded = base64.b64encode(image.getvalue()).decode()
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return (
        f"<h4>{escape(title)}</h4>"
        f'<img alt="{escape(title)}" width="640" src="data:image/png;base64,{encoded}">'
        f"{table.to_html(index=False, escape=True, border=0)}<ul>{items}</ul>"
    )
