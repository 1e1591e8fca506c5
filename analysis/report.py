"""Prints an analysis on a terminal."""

from rich.console import Console
from rich.table import Table

from analysis.regimes import Regime
from analysis.summary import Analysis, readable_table, sentences

_SHORT = {str(Regime.PERFECT): "perfect", str(Regime.DIMINISHING): "diminishing"}
"""A terminal of 80 columns has no room for more; the sentences below it say the names in full."""


def print_analysis(analysis: Analysis, console: Console) -> None:
    """Prints the table of steps to target and what was found.

    Args:
        analysis: the analysis.
        console: where to print.
    """
    rows = readable_table(analysis)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="underline")
    for name in rows.columns:
        table.add_column(name, justify="left" if name == "regime" else "right", no_wrap=True)
    for row in rows.itertuples(index=False):
        table.add_row(*(_SHORT.get(cell, cell) for cell in row))
    console.print(analysis.title, markup=False, soft_wrap=True)
    console.print(table)
    for sentence in sentences(analysis):
        console.print(sentence, markup=False, soft_wrap=True)
