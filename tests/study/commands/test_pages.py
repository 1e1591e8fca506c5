"""A page that is kept current while a sweep runs."""

from types import SimpleNamespace

import pytest

from analysis.errors import AnalysisError
from study.commands import pages
from study.commands.pages import PageOptions, keep_current

OPTIONS = PageOptions(locations=("results/a",))


@pytest.fixture
def sweep(monkeypatch):
    """A sweep whose parts, and what is still to come, are what a test says."""
    made = SimpleNamespace(parts=[], unfinished=[], error=None, written=[])

    def make_page(options):
        if made.error:
            raise AnalysisError(made.error)
        return made

    def write_page(page, options):
        made.written.append((len(page.parts), page.reload_seconds))
        return ["results/a/report.html", "results/a/report.md"]

    def replace(page, **changes):
        return SimpleNamespace(parts=[*page.parts], **changes)

    monkeypatch.setattr(pages, "part_names", lambda folder: [*made.parts])
    monkeypatch.setattr(pages, "make_page", make_page)
    monkeypatch.setattr(pages, "write_page", write_page)
    monkeypatch.setattr(pages, "replace", replace)
    monkeypatch.setattr(pages, "_POLL_SECONDS", 0)
    made.studies = [SimpleNamespace(summary={"unfinished": made.unfinished})]
    return made


def after(sweep, *changes):
    """Return what makes one change each time that it is asked whether to stop, then stops."""
    left = iter(changes)

    def ended():
        change = next(left, None)
        if change is not None:
            change()
        return change is None

    return ended


def test_a_page_is_written_for_new_parts_only(sweep):
    sweep.unfinished.append("8 trials")
    said = []
    more = lambda: sweep.parts.append("part")  # noqa: E731
    keep_current(OPTIONS, said.append, after(sweep, more, bool, bool, more, bool))
    assert sweep.written == [(1, 10), (2, 10)]
    assert said == ["results/a/report.html"]


def test_the_last_page_does_not_reload_itself(sweep):
    sweep.unfinished.append("8 trials")
    done = lambda: (sweep.parts.append("part"), sweep.unfinished.clear())  # noqa: E731
    keep_current(OPTIONS, print, after(sweep, bool, done, pytest.fail))
    assert sweep.written == [(0, 10), (1, None)]


def test_the_page_waits_for_a_study_that_cannot_be_shown_yet(sweep):
    said = []
    sweep.error = "no trial"

    def first():
        sweep.error = None
        sweep.parts.append("part")

    keep_current(OPTIONS, said.append, after(sweep, bool, bool, first, pytest.fail))
    assert said == ["no page yet: no trial", "results/a/report.html"]
