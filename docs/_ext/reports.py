"""Directive `reports`: links to a page of each reference study, which the build makes.

`-D reports=0` leaves the pages out, and with them the links.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from study.commands.pages import PageOptions, make_page, write_page

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
STUDIES = sorted(path.parent for path in REFERENCE.rglob("study.toml"))


def place(folder: Path) -> str:
    """Return where the page of a reference study lies in the site."""
    return f"reports/{folder.relative_to(REFERENCE)}"


def make_pages(app: Sphinx) -> None:
    """Make the page of every reference study, unless the configuration leaves them out."""
    if not app.config.reports:
        return
    for folder in STUDIES:
        options = PageOptions(locations=(str(folder),), to=str(Path(app.outdir, place(folder))))
        write_page(make_page(options), options)


class Reports(Directive):
    """A list of links."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the list; empty where the pages are left out."""
        if not self.state.document.settings.env.config.reports:
            return []
        items = nodes.bullet_list()
        for folder in STUDIES:
            name = str(folder.relative_to(REFERENCE))
            # the page is no document of the site, which would be looked for among the sources
            link = nodes.reference(name, name, refuri=f"../{place(folder)}/report.html")
            items += nodes.list_item("", nodes.paragraph("", "", link))
        return [items]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_config_value("reports", default=True, rebuild="env", types=[bool, str])
    app.add_directive("reports", Reports)
    app.connect("builder-inited", make_pages)
    return {"parallel_read_safe": True}
