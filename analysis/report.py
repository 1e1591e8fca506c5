"""Prints an analysis on a terminal."""

from rich import box
from rich.console import Console
from rich.table import Table

from analysis.summary import Analysis, readable_table, sentences


def print_analysis(analysis: Analysis, console: Console) -> None:
    """Prints the table of steps to target and what was found.

    Args:
        analysis: the analysis.
        console: where to print.
    """
    rows = readable_table(analysis)
    table = Table(title=analysis.title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in rows.columns:
        table.add_column(name, justify="left" if name == "regime" else "right")
    for row in rows.itertuples(index=False):
        table.add_row(*row)
    console.print(table)
    for sentence in sentences(analysis):
        console.print(sentence, markup=False, soft_wrap=True)
