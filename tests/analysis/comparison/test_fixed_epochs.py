"""Errors within a fixed number of epochs, from curves whose errors are known."""

import dataclasses

import pandas as pd
import pytest

from analysis.comparison.compare import compare
from analysis.comparison.fixed_epochs import epochs_table, fixed_epochs
from analysis.comparison.report import comparison_markdown, comparison_record
from analysis.figures.comparison import COMPARISON_FIGURES
from analysis.figures.drawing.kind import write_all
from analysis.tables.folder import ResultsFolder

EXAMPLES = 100
ROLES = {10: "replicate", 25: "recipe", 50: "recipe"}


def study(made, epochs, lowered=0.0, **changes):
    """Three seeds at each batch size, whose error at step s is seed's / (1 + s) - lowered."""
    base = made({10: 90}, to="budget", max_epochs=epochs)
    rows, curves = [], []
    for size, role in ROLES.items():
        last = int(epochs * EXAMPLES / size)
        for seed, start in enumerate((0.8, 0.4, 0.6)):
            key = {"batch_size": size, "role": role, "trial": seed}
            origin = {"source_batch_size": 10, "source_role": "search", "source_trial": 3}
            row = base.trials.iloc[3].to_dict() | key | origin | {"rule": "linear"}
            rows.append(row | {"status": "exhausted", "steps": None, "stopped_at": last})
            steps = range(last + 1)
            error = [start / (1 + step) - lowered for step in steps]
            curve = pd.DataFrame({"step": steps, "val_error": error, "val_loss": error})
            curves.append(curve.assign(**key, train_loss=0.5, seconds=0.0))
    trials = pd.DataFrame(rows).astype(base.trials.dtypes)
    recipe = {"mode": "recipe", "recipe": {"rule": "linear", "base": 10}, "examples": EXAMPLES}
    return dataclasses.replace(
        base,
        config=base.config | recipe | changes,
        trials=pd.concat([base.trials, trials], ignore_index=True),
        curves=pd.concat([base.curves, *curves], ignore_index=True),
    )


@pytest.fixture
def pair(made, monkeypatch):
    monkeypatch.setattr("analysis.report.summary.find_goals", lambda study: ())
    return {"long": study(made, 8), "short": study(made, 4, 0.01, optimizer="lars")}


def edited(study, size, seed, **values):
    trials = study.trials.copy()
    at = (trials["batch_size"] == size) & (trials["trial"] == seed) & (trials["role"] != "search")
    trials.loc[at, list(values)] = list(values.values())
    return dataclasses.replace(study, trials=trials)


def test_all_are_cut_to_the_epochs_that_every_study_has(pair):
    table = fixed_epochs(compare(pair)).set_index(["study", "batch_size"])
    assert set(table["epochs"]) == {4.0}
    for size, steps in {10: 40, 25: 16, 50: 8}.items():
        row = table.loc["long", size]
        assert (row["steps"], row["seeds"], row["diverged"]) == (steps, 3, 0)
        numbers = [row[name] for name in ("low", "error", "high")]
        assert numbers == pytest.approx([start / (1 + steps) for start in (0.4, 0.6, 0.8)])
        lower = table.loc["short", size]
        assert lower["error"] == pytest.approx(row["error"] - 0.01)


def test_a_seed_that_diverged_counts_and_is_counted(pair):
    pair["long"] = edited(pair["long"], 25, 0, status="diverged", stopped_at=3)
    found = compare(pair)
    row = fixed_epochs(found).query("study == 'long' and batch_size == 25").iloc[0]
    assert (row["seeds"], row["diverged"]) == (3, 1)
    assert epochs_table(found).iloc[1, 1].endswith(", 1 diverged")


def test_a_batch_size_with_a_seed_cut_short_is_left_out(pair):
    pair["long"] = edited(pair["long"], 25, 0, stopped_at=3)
    shown = fixed_epochs(compare(pair)).query("study == 'long'")["batch_size"]
    assert shown.tolist() == [10, 50]


def test_table_figure_and_record(pair, tmp_path):
    found = compare(pair)
    page = comparison_markdown(found)
    assert "Lowest validation error within 4 epochs, median over fresh seeds" in page
    assert "| 50 | 6.7% (4.4%\N{EN DASH}8.9%) |" in page
    assert len(comparison_record(found)["fixed_epochs"]) == 6
    written = write_all(COMPARISON_FIGURES, found, ResultsFolder.at(tmp_path))
    assert "comparison_epochs.png" in written
    drawn = pd.read_csv(tmp_path / "comparison_epochs.csv")
    assert drawn["error"].tolist() == pytest.approx(fixed_epochs(found)["error"].tolist())


@pytest.mark.parametrize("race", [{"to": "target"}, {"max_epochs": None}])
def test_studies_that_did_not_run_to_their_epochs_are_left_out(pair, race, tmp_path):
    config = pair["short"].config
    race = {key: value for key, value in (config["race"] | race).items() if value is not None}
    pair["short"] = dataclasses.replace(pair["short"], config=config | {"race": race})
    found = compare(pair)
    assert fixed_epochs(found).empty
    assert "within" not in comparison_markdown(found).partition("\n\n")[2].partition("b_crit")[0]
    assert "comparison_epochs.png" not in write_all(
        COMPARISON_FIGURES, found, ResultsFolder.at(tmp_path)
    )
