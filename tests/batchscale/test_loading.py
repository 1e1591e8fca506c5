"""A loaded study is what `batchscale analyze` computes, prints and writes."""

import json
import math
import pickle
import shutil
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

import batchscale
from analysis.figures import FIGURES

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def digits():
    return batchscale.load(REFERENCE / "digits")


@pytest.fixture(scope="module")
def summary():
    return json.loads((REFERENCE / "digits" / "summary.json").read_text())


def test_it_has_the_config_and_the_tables(digits):
    assert digits.name == "digits"
    assert digits.config["workload"] == "digits-mlp"
    assert digits.target == 0.05
    assert len(digits.trials) == len(digits.search_trials) + len(digits.replicates)
    assert set(digits.replicates["role"]) == {"replicate"}
    keys = ["batch_size", "role", "trial"]
    assert set(map(tuple, digits.curves[keys].drop_duplicates().to_numpy())) <= set(
        map(tuple, digits.trials[keys].to_numpy())
    )


def test_steps_fits_and_regimes_match_the_summary(digits, summary):
    table = digits.steps()
    for row, recorded in zip(table.to_dict("records"), summary["table"], strict=True):
        assert row["batch_size"] == recorded["batch_size"]
        assert row["steps"] == recorded["steps"]
        assert row["steps_median"] == pytest.approx(recorded["steps_median"])
    for name, fit in digits.fits.items():
        assert fit.b_crit.value == pytest.approx(summary["fits"][name]["b_crit"]["value"], rel=1e-6)
    found = digits.critical_batch_sizes()
    assert list(found.index) == list(summary["critical_batch_sizes"])
    for name, row in found.iterrows():
        recorded = summary["critical_batch_sizes"][name]
        for end in ("value", "low", "high"):
            value = math.nan if recorded[end] is None else recorded[end]
            assert row[end] == pytest.approx(value, rel=1e-6, nan_ok=True)
        assert row["interval"] == recorded["interval"]
    assert digits.regimes.record() == summary["regimes"]


def test_sentences_match_the_summary(digits, summary):
    assert list(digits.sentences()) == summary["sentences"]


def test_a_looser_target_takes_fewer_steps(digits):
    own, looser = digits.steps(), digits.steps(target=0.2)
    assert (looser["steps"] <= own["steps"]).all()
    with pytest.raises(batchscale.BatchscaleError, match="must not be below the one raced to"):
        digits.steps(target=0.001)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_a_matplotlib_figure(digits, name):
    assert isinstance(digits.figure(name), Figure)


def test_a_notebook_shows_a_figure_without_pyplot(digits):
    assert digits.figure()._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(
        batchscale.BatchscaleError, match="ax must be rectangular matplotlib axes .* got 'ax'"
    ):
        digits.figure(ax="ax")


def test_an_unknown_figure_names_the_known_ones(digits):
    with pytest.raises(
        batchscale.BatchscaleError, match="must be one of steps_vs_batch, .*'steps'"
    ):
        digits.figure("steps")
    for target in ("0.1", [0.1], True):
        with pytest.raises(batchscale.BatchscaleError, match="target must be a number or None"):
            digits.steps(target)


def test_returned_tables_are_copies(digits):
    for table in (digits.trials, digits.steps(), digits.curves):
        del table["batch_size"]
    assert digits.steps()["steps"].min() > 0
    assert "batch_size" in digits.curves


def test_a_notebook_shows_figure_table_and_sentences(digits, summary):
    html = digits._repr_html_()
    assert "data:image/png;base64," in html
    for row in summary["table"]:
        assert f"<td>{row['batch_size']}</td>" in html
    assert repr(digits).startswith("Study('")


def test_text_of_strangers_is_escaped(tmp_path, accept):
    folder = shutil.copytree(REFERENCE / "digits", tmp_path / "digits")
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace('"digits-mlp"', '"<script>alert(1)</script>"'))
    accept(folder)
    html = batchscale.load(folder)._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_parts_are_read_where_there_are_no_tables_and_nothing_is_written(tmp_path):
    folder = shutil.copytree(GOLDEN / "search", tmp_path / "search")
    tables = {name: pd.read_parquet(folder / name) for name in ("trials.parquet", "curves.parquet")}
    for path in folder.glob("*.parquet"):
        path.unlink()
    before = sorted(folder.rglob("*"))
    study = batchscale.load(folder)
    assert len(study.trials) == len(tables["trials.parquet"])
    assert len(study.curves) == len(tables["curves.parquet"])
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("place", ["nothing", "."])
def test_a_folder_without_a_study_is_refused(tmp_path, place):
    with pytest.raises(batchscale.BatchscaleError, match=r"must hold study\.toml"):
        batchscale.load(tmp_path / place)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (None, "location must be a path or a URI, got None"),
        ("", "results must be a path or a URI, got none; the current folder is ."),
        (
            REFERENCE / "digits" / "study.toml",
            "results must be a folder, got the file .*study.toml",
        ),
    ],
)
def test_an_invalid_folder_is_refused(location, message):
    with pytest.raises(batchscale.BatchscaleError, match=message):
        batchscale.load(location)


def test_changing_the_config_does_not_change_the_study(digits):
    digits.config["race"]["target"] = 0.5
    assert digits.target == 0.05


def test_studies_and_fits_can_be_pickled(digits):
    digits.analysis()
    again = pickle.loads(pickle.dumps(digits))
    assert again.sentences() == digits.sentences()
    fit = batchscale.fit([1, 2, 4, 8], [90, 50, 30, 22])
    assert pickle.loads(pickle.dumps(fit)).sentences() == fit.sentences()
    study = [digits, REFERENCE / "momentum" / "optimizer-sgd"]
    comparison = batchscale.compare(study)
    assert pickle.loads(pickle.dumps(comparison)).sentences() == comparison.sentences()


@pytest.mark.parametrize("projection", ["polar", "3d"])
def test_axes_of_another_kind_are_refused(digits, projection):
    ax = Figure().subplots(subplot_kw={"projection": projection})
    with pytest.raises(batchscale.BatchscaleError, match="must be rectangular matplotlib axes"):
        digits.figure(ax=ax)
