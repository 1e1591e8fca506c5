"""The README's plug-in, exactly as it stands there, through check, sweep and analyze."""

import re
from pathlib import Path

import pandas as pd
import pytest

README = Path(__file__).parents[2] / "README.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_plug_in_is_about_thirty_lines():
    (plugin,) = blocks("python")
    assert len(plugin.splitlines()) <= 40


@pytest.mark.slow
def test_the_plug_in_runs_as_it_stands(place):
    (plugin,) = blocks("python")
    (place.folder / "spirals.py").write_text(plugin)
    code, out, err = place.run("check", "spirals.py:Spirals")
    assert code == 0, out + err
    code, out, err = place.run(
        "sweep", "spirals.py:Spirals", "--set", "batch_sizes=[16, 64, 256, 1000]",
        "--set", "search.trials=16",
    )  # fmt: skip
    assert code == 0, err
    folder = place.folder / "results" / "Spirals"
    code, out, err = place.run("analyze", folder)
    assert code == 0, err
    assert (folder / "figures" / "steps_vs_batch.png").stat().st_size > 10_000
    reached = pd.read_parquet(folder / "trials.parquet").groupby("batch_size")["steps"].min()
    assert reached.notna().all()


def test_the_study_file_is_one():
    import tomllib

    from study.config.study import StudyConfig
    from study.config.study_file import validated

    study, recipe = map(tomllib.loads, blocks("toml"))
    config = validated(StudyConfig, study)
    assert config.batch_sizes.expand(10_000)[-1] == 1024
    changed = validated(StudyConfig, study | recipe)
    assert (changed.mode, changed.recipe.base) == ("recipe", 32)
