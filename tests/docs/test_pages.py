"""Links and figures of the pages lead somewhere; the references are complete."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from analysis.fitting.estimates import Estimate
from study.commands.app import app
from study.config.study import StudyConfig
from workloads.registry import names

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCREENSHOTS = ROOT / "docs" / "_static" / "report"  # of the page of results/reference/digits
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(#[^)]*)?\)")


def extension(name):
    """Imports an extension of the documentation."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_to_files(page):
    for target, _ in _LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_figure_was_made_from_data_in_the_repository(page):
    for image in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        path = (page.parent / image).resolve()
        assert path.is_file()
        if path.parent == SCREENSHOTS:
            continue
        assert path.is_relative_to(ROOT / "results" / "reference")
        assert path.with_suffix(".csv").is_file()


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 140


def test_the_readme_tells_what_the_reference_study_found():
    study = ROOT / "results" / "reference" / "digits"
    critical = json.loads((study / "summary.json").read_text())["critical_batch_sizes"]
    told = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    found = [
        Estimate(**{end: critical[name][end] for end in ("value", "low", "high")})
        for name in ("b_crit", "b_perfect", "b_plateau")
    ]
    b_crit, perfect, plateau = (estimate.text("").removeprefix(" = ") for estimate in found)
    assert f"b_crit = {b_crit}, 95 % interval" in told
    assert f"Perfect scaling ends at {perfect}, the plateau begins at {plateau}." in told
    fastest = json.loads((study / "cost.json").read_text())["sentences"][0]
    best = (
        r"Fastest on one device: B = (\d+), (.*?) to target, .*; "
        r"by their intervals, B = (.*) may be as fast"
    )
    size, time, others = re.match(best, fastest).groups()
    assert f"fastest at B = {size}, {time} to the target, and B = {others} may be as fast" in told


def test_the_built_in_workloads_are_listed():
    listed = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs/guide/workloads.md").read_text(), re.M)
    assert listed == [entry.name for entry in names() if not entry.source.startswith("plug-in")]


def test_the_reference_of_the_study_file_has_every_key_with_its_meaning():
    pytest.importorskip("docutils", reason="the extra 'docs' is not installed")
    rows = {
        key: (values, meaning)
        for key, values, _, meaning in extension("study_file").rows(StudyConfig)
    }
    for name, field in StudyConfig.model_fields.items():
        key = field.alias or name
        assert key in rows or any(row.startswith(f"{key}.") for row in rows), key
    assert rows["search.trials"][0] == "integer, at least 1, at most 1,000,000"
    for key, (values, meaning) in rows.items():
        assert values, key
        assert meaning, key


def test_the_reference_of_the_command_line_has_every_command_and_option():
    pytest.importorskip("docutils", reason="the extra 'docs' is not installed")
    text = "\n".join(extension("command_line").lines())
    for name, command in typer.main.get_command(app).commands.items():
        assert f"## `batchscale {name}`" in text
        for parameter in command.params:
            assert parameter.help, (name, parameter.name)
            if parameter.param_type_name == "option":
                assert f"`{parameter.opts[0]}`" in text


@pytest.mark.slow
@pytest.mark.long
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("furo", reason="the extra 'docs' is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reference" / "study_file.html").is_file()
    assert (tmp_path / "reports" / "digits" / "report.html").is_file()
