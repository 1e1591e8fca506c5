"""What a study asks for and its tables lack."""

from dataclasses import replace

import pandas as pd
import pytest

from analysis.comparison.compare import compare
from analysis.comparison.sentences import comparison_sentences
from analysis.measures.unfinished import unfinished_records, unfinished_sentences
from analysis.report.record import sentences, summary_record
from analysis.report.summary import analyze

STEPS = {4: 400, 16: 100, 64: 40}


def asking(study, trials=16, seeds=0, top=1, **config):
    search = {**study.config["search"], "trials": trials}
    asked = {"search": search, "replicates": {"seeds": seeds, "top": top}}
    return replace(study, config={**study.config, **asked, **config})


def rerun(study, size, seeds):
    """Return the study with replicates of the winner, trial 3, at a batch size."""
    winner = study.trials[study.trials["batch_size"].eq(size)].iloc[3].to_dict()
    source = {"source_batch_size": size, "source_role": "search", "source_trial": 3}
    rows = [winner | source | {"role": "replicate", "trial": seed} for seed in range(seeds)]
    more = pd.DataFrame(rows).astype(study.trials.dtypes)
    return replace(study, trials=pd.concat([study.trials, more], ignore_index=True))


def counted(study):
    return [tuple(record.values()) for record in unfinished_records(study)]


def test_a_finished_sweep_lacks_nothing(made):
    study = asking(made(STEPS))
    assert counted(study) == []
    assert unfinished_sentences([]) == ()
    assert not any("Unfinished" in sentence for sentence in sentences(analyze(study)))


def test_trials_of_the_search_and_whole_batch_sizes(made):
    study = asking(made(STEPS), trials=20, batch_sizes=[4, 16, 64, 256])
    assert counted(study) == [
        (4, "search", 4),
        (16, "search", 4),
        (64, "search", 4),
        (256, "search", 20),
    ]


def test_replicates_once_the_search_has_ended(made):
    study = asking(rerun(made({**STEPS, 256: None}), 16, 3), seeds=5)
    assert counted(study) == [(4, "replicate", 5), (16, "replicate", 2), (64, "replicate", 5)]
    two = asking(rerun(made(STEPS), 16, 5), seeds=5, top=2)
    assert counted(two)[1] == (16, "replicate", 5)
    searching = asking(made(STEPS), trials=20, seeds=5)
    assert {role for _, role, _ in counted(searching)} == {"search"}


@pytest.mark.parametrize(("recorded", "lacks"), [(4, []), (1, [(64, "extension", 3)])])
def test_a_widened_box_is_searched_as_densely_as_the_box(made, recorded, lacks):
    study = made(STEPS)
    # lr from 1e-4 to 10 on a log scale, widened by a quarter of five decades
    names = ["batch_size", "region", "hyperparameter", "low", "high", "scale"]
    boxes = [
        (64, 0, "lr", 1e-4, 10.0, "log"),
        (64, 0, "momentum", 0.0, 0.999, "reverse-log"),
        (64, 1, "lr", 10.0, 10.0**2.25, "log"),
        (64, 1, "momentum", 0.0, 0.999, "reverse-log"),
    ]
    wide = study.trials[study.trials["batch_size"].eq(64)].head(recorded).assign(role="extension")
    trials = pd.concat([study.trials, wide], ignore_index=True)
    study = replace(study, trials=trials, boxes=pd.DataFrame(boxes, columns=names))
    assert counted(asking(study)) == lacks


@pytest.mark.parametrize(
    ("base", "scaled", "lacks"),
    [
        (4, 0, [(16, "recipe", 3), (64, "recipe", 3)]),
        (4, 3, [(64, "recipe", 3)]),
        (256, 0, [(16, "recipe", 3), (64, "recipe", 3), (256, "search", 16)]),
    ],
)
def test_a_recipe_lacks_its_scaled_runs(made, base, scaled, lacks):
    study = made({base: 400}) if base == 4 else made({256: 30})
    here = study.trials.head(scaled).assign(role="recipe", batch_size=16, source_batch_size=base)
    study = replace(study, trials=pd.concat([study.trials, here], ignore_index=True))
    if base == 256:
        study = replace(study, trials=study.trials.head(0))
    config = {"mode": "recipe", "recipe": {"rule": "linear", "base": base}}
    sizes = sorted({base, 16, 64})
    study = asking(study, seeds=3, batch_sizes=sizes, **config)
    assert [row for row in counted(study) if row[1] != "replicate"] == lacks


def test_a_recipe_without_a_point_lacks_nothing(made):
    config = {"mode": "recipe", "recipe": {"rule": "linear", "base": 4}}
    assert counted(asking(made({4: None}), seeds=3, batch_sizes=[4, 16], **config)) == []


def test_sentences_and_json_begin_with_missing_trials(made):
    study = asking(made(STEPS), trials=20)
    record = summary_record(analyze(study))
    assert record["unfinished"] == unfinished_records(study)
    assert record["sentences"][0].startswith(
        "Unfinished: at least 12 trials are missing (4 of the search at each of B = 4, 16, 64)."
    )
    # trials that are left out on purpose are not missing
    assert summary_record(analyze(asking(made(STEPS)), first=4))["unfinished"] == []


def test_a_comparison_says_which_study_is_unfinished(made):
    found = compare({"a": made(STEPS), "b": asking(made(STEPS), trials=20)})
    assert ": Unfinished: at least 12 trials" in comparison_sentences(found)[0]
