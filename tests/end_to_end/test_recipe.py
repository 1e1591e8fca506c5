"""A recipe by the real command: the base is tuned, the rule followed from there."""

import pandas as pd
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.long]

RECIPE = """
mode = "recipe"
recipe = { rule = "linear", base = 4, warmup_epochs = 2 }
"""


def test_a_recipe_runs_to_the_tables_that_one_process_gives(place):
    path = place.folder / "study.toml"
    text = path.read_text().replace("seeds = 0", "seeds = 2")
    path.write_text(RECIPE + text)
    code, out, err = place.run("sweep", "study.toml", "--workers", 2)
    assert code == 0, err
    planned = "8 trials at batch size 4, then the linear scaling rule at 3 x 2 seeds to error < 0.1"
    assert planned in out
    assert "batch size 90: 2/2 trials" in out

    place.assert_same_tables("results", place.alone("alone"))

    trials = pd.read_parquet(place.folder / "results" / "study" / "trials.parquet")
    ran = trials[trials["role"] == "recipe"]
    assert ran.groupby("batch_size").size().to_dict() == {1: 2, 16: 2, 90: 2}
    base = trials[(trials["role"] == "search") & (trials["trial"] == ran["source_trial"].iloc[0])]
    assert (ran["lr"] / ran["batch_size"]).tolist() == pytest.approx([base["lr"].iloc[0] / 4] * 6)
    assert ran["warmup_factor"].tolist() == pytest.approx([1, 1, 4 / 16, 4 / 16, 4 / 90, 4 / 90])

    code, out, err = place.run("analyze", "results/study")
    assert code == 0, err
    assert "Only B = 4 was tuned" in out
