"""A page as one HTML file that contains its data, script and style and loads nothing.

No text of a study can become markup or script: templates escape it, the data are JSON in which no
tag can occur, and a content security policy allows only this script and this style.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib import resources
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.errors import AnalysisError
from analysis.escaping import printable
from analysis.page.record import Page, page_record, thinned_sentences
from analysis.page.searches import Room

MAX_BYTES = 1_000_000
"""The size that no page exceeds."""
ROOM = Room(trials=10_000, curves=1_200)
_SHARES = (1.0, 0.7, 0.5, 0.3, 0.15, 0.07, 0.03)
"""Shares of the room, tried in turn until the page is small enough."""
_SCRIPTS = (
    "page.js",
    "scales.js",
    "chart.js",
    "quantities.js",
    "columns.js",
    "steps.js",
    "search.js",
    "hyperparameters.js",
    "devices.js",
    "comparison.js",
    "tables.js",
    "start.js",
)
"""In the order of loading; each one uses only those before it."""
_CODE = re.compile(r"`([^`]+)`")
_IN_JSON = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}


def page_html(page: Page) -> str:
    """Return a page as HTML, of at most `MAX_BYTES`.

    Raises:
        AnalysisError: there are so many studies that not even the smallest share fits.
    """
    for share in _SHARES:
        html = _render(page, page_record(page, ROOM.scaled(share)))
        if len(html.encode()) < MAX_BYTES:
            return html
    raise AnalysisError(
        f"a page must have fewer than {MAX_BYTES:,} bytes, got more for {len(page.studies)} "
        "studies; report fewer studies at once, or fewer batch sizes"
    )


def _render(page: Page, record: Mapping[str, Any]) -> str:
    templates = Environment(
        loader=PackageLoader("analysis.page"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["coded"] = _code_markup
    script = "".join(_text("script", name) for name in _SCRIPTS)
    style = _text("style", "page.css")
    return templates.get_template("page.html").render(
        page=page,
        comparison=record["comparison"],
        thinned=thinned_sentences(record),
        version=version("batchscale"),
        data=Markup(_as_json(record)),  # no tag can occur in it
        script=Markup(script),  # a file of this package
        style=Markup(style),  # a file of this package
        policy=_policy(script, style),
    )


def _printable(value: object) -> object:
    """Return a value for a template; invisible characters in text become visible."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(str(value)) if is_text else value


def _code_markup(text: str) -> Markup:
    """Return text as HTML with its parts in backticks as code."""
    safe = str(escape(printable(text)))
    return Markup(_CODE.sub(r"<code>\1</code>", safe))  # escaped before


def _as_json(record: Mapping[str, Any]) -> str:
    """Return ASCII JSON in which no HTML tag or comment can begin."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False).translate(_IN_JSON)


def _policy(script: str, style: str) -> str:
    """Return a content security policy that allows only this script and style, and no request."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _text(folder: str, name: str) -> str:
    return resources.files("analysis.page").joinpath(folder, name).read_text("utf-8")
