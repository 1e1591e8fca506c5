"""`batchscale report`: one page, in the study's folder or in the one given."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.study.conftest import BLOBS

REFERENCE = Path(__file__).parents[3] / "results" / "reference"


@pytest.fixture
def folder(command):
    ignored = shutil.ignore_patterns("figures", "summary.*")
    shutil.copytree(REFERENCE / "language_model", "lm", ignore=ignored)
    return Path("lm")


@pytest.mark.slow
def test_the_page_is_written_beside_its_study(passed, folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    out = passed("report", "lm")
    assert out.split() == ["lm/report.html", "lm/report.md"]
    made = {folder / "report.html", folder / "report.md"}
    assert {*folder.iterdir()} == {*before} | made
    assert all(path.read_bytes() == content for path, content in before.items())
    html = (folder / "report.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', html).group(1))
    then = json.loads((REFERENCE / "language_model" / "summary.json").read_text())
    shown = data["studies"][0]["summary"]
    assert shown["table"] == then["table"]
    assert shown["critical_batch_sizes"].keys() == then["critical_batch_sizes"].keys()
    assert "examples/language_model.toml" in html  # from provenance.json


@pytest.mark.slow
@pytest.mark.long
def test_a_sweep_leaves_its_page(passed):
    Path("mine.toml").write_text(
        f'workload = "{BLOBS}:Blobs"\nbatch_sizes = [8]\nsearch.trials = 2\n'
        "race.max_steps = 40\nreplicates.seeds = 0\n"
    )
    out = passed("sweep", "mine.toml", "--workers", "1", "--no-ray", "--report")
    assert "results/mine/report.html\n" in out
    assert '"reload_seconds":null' in Path("results/mine/report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "must hold study.toml, got none in nowhere"),
        (["lm", "lm"], "needs different results folders, got lm twice"),
        (["lm", "--target", "0.001"], "must not be below the one raced to"),
    ],
)
def test_wrong_input_writes_nothing(refused, folder, arguments, message):
    assert message in refused("report", *arguments)
    assert not list(Path.cwd().rglob("report.*"))
