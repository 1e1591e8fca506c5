"""How results look in a notebook: a heading, a figure, a table and sentences, all escaped."""

import base64
import io
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def page(title: str, table: pd.DataFrame, sentences: Iterable[str], figure: "Figure") -> str:
    """Return an HTML fragment; text from results is escaped, the figure is embedded as PNG."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    encoded = base64.b64encode(image.getvalue()).decode()
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return (
        f"<h4>{escape(title)}</h4>"
        f'<img alt="{escape(title)}" width="640" src="data:image/png;base64,{encoded}">'
        f"{table.to_html(index=False, escape=True, border=0)}<ul>{items}</ul>"
    )
