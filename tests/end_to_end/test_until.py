"""A sweep that goes on past its plan, through the real command."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.long]

STUDY = """
workload = "noisy-quadratic"
optimizer = "sgd"
batch_sizes = [16, 64, 256, 1024, 4096]
[search]
trials = 16
[search.space]
lr = { low = 1e-3, high = 2.0, scale = "log" }
[race]
cohort = 4
[replicates]
seeds = 2
[until]
b_crit = 0.5
trial_steps = 1_000_000
"""


def test_it_goes_on_to_the_same_study_with_any_workers_and_after_a_lower_goal(place):
    (place.folder / "study.toml").write_text(STUDY)
    code, out, err = place.run("sweep", "study.toml", "--workers", 3, "--no-ray")
    assert code == 0, err
    assert "as asked for (until.b_crit = 0.5)" in out
    granted = (place.folder / "results/study/study.toml").read_text()
    assert "[[granted]]" in granted
    sizes = place.table("trials.parquet").groupby("batch_size").size()
    assert sizes.nunique() > 1
    # a goal that is met at once, then the one that was asked for at first
    loose = ("--results", "loose", "--workers", 1, "--no-ray")
    code, out, err = place.run("sweep", "study.toml", *loose, "--set", "until.b_crit=9")
    assert code == 0, err
    assert "as asked for (until.b_crit = 9)" in out
    assert place.run("sweep", "study.toml", *loose)[0] == 0
    place.assert_same_bytes("results", "loose")
    code, out, err = place.run("verify", "results/study")
    assert code == 0, err
    code, out, err = place.run("sweep", "results/study/study.toml", "--no-ray")
    assert code == 0, err
    assert (place.folder / "results/study/study.toml").read_text() == granted


def test_it_chooses_batch_sizes_and_goes_on_with_them_after_a_stop(place):
    chooses = STUDY.replace("[16, 64, 256, 1024, 4096]", "{ from = 8, to = 8192, auto = true }")
    (place.folder / "study.toml").write_text(chooses)
    code, out, err = place.run("plan", "study.toml", "--seconds", "0.05")
    assert code == 0, err
    assert "up to 7 more batch sizes" in " ".join(out.split())
    code, out, err = place.run("sweep", "study.toml", "--no-ray")
    assert code == 0, err
    assert "4 batch sizes (7 more may follow) x 16 trials" in " ".join(out.split())
    assert "as asked for (until.b_crit = 0.5)" in " ".join(out.split())
    sizes = place.table("trials.parquet")["batch_size"].nunique()
    assert sizes >= 6
    stopped = ("--results", "stopped", "--workers", 1, "--no-ray")
    early = ("--set", "until.b_crit=9", "--set", "until.trial_steps=1")
    assert place.run("sweep", "study.toml", *stopped, *early)[0] == 0
    code, out, err = place.run("status", "stopped/study")
    assert "a sweep may add batch sizes: " in out
    assert place.run("sweep", "study.toml", *stopped)[0] == 0
    place.assert_same_bytes("results", "stopped")
    code, out, err = place.run("analyze", "results/study")
    assert f"The sweep chose these {sizes} batch sizes among 8 to 8192" in " ".join(out.split())
