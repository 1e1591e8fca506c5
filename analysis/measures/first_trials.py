"""Studies cut to the first trials of each search, for an equal tuning budget."""

from dataclasses import replace
from typing import Any

import pandas as pd

from analysis.errors import AnalysisError
from analysis.measures.recipes import follows_rule
from analysis.tables.schema import CANDIDATES, TRIAL_KEY
from analysis.tables.study import StudyTables

_KEY = list(TRIAL_KEY)


def equal_trials(study: StudyTables) -> int:
    """Return the greatest number of search trials that every batch size has, >= 0."""
    counts = _search_counts(study.trials.drop_duplicates(_KEY))
    return int(counts.min()) if len(counts) else 0


def _search_counts(trials: pd.DataFrame) -> "pd.Series[Any]":
    return (trials["role"] == "search").groupby(trials["batch_size"]).sum()


def first_trials(study: StudyTables, first: int) -> StudyTables:
    """Return a study with only the `first` trials of every search.

    The fewest steps over trials depend on how many were run; the authors of the measure compare
    the first `num_trials` of each (google-research/batch_science, data_loader.py). Trials from a
    widened box or from other batch sizes are dropped, with the widened boxes, and so are the
    replicates of dropped trials. A trial capped by a faster one stays a miss even if that one is
    dropped: it needs more steps than its `stopped_at`. The fewest steps stay exact, because no
    trial that reached the target ran past the cap of others; if none of the first trials reached
    it, the batch size has only that bound.

    Raises:
        AnalysisError: a batch size has fewer trials, the study is a recipe, or a trial that is kept
            was pruned in a cohort with dropped ones: they may have been better, so nothing is known
            of it.
    """
    if follows_rule(study):
        raise AnalysisError(
            "--equal-trials needs a study that tunes all batch sizes, got the recipe "
            f"{study.name}; leave it out"
        )
    trials = study.trials.drop_duplicates(_KEY)
    if not 1 <= first <= equal_trials(study):
        counts = _search_counts(trials)
        least = f"{counts.min()} at B = {counts.idxmin()}" if len(counts) else "no trial at all"
        raise AnalysisError(
            "the number of first trials must be at least 1 and at most the search trials of every "
            f"batch size, {least}, got {first}; take fewer, or run more trials there"
        )
    searched = trials[trials["role"] == "search"].sort_values(_KEY).groupby("batch_size")
    kept = searched.head(first)
    _refuse_pruned(study, trials, kept)
    keys = set(kept[_KEY].itertuples(index=False, name=None))
    replicates = trials[trials["role"] == "replicate"]
    sources = replicates[[f"source_{name}" for name in _KEY]].itertuples(index=False, name=None)
    stays = pd.Series([source in keys for source in sources], index=replicates.index, dtype=bool)
    return replace(
        study,
        trials=pd.concat([kept, replicates[stays]]).sort_index().reset_index(drop=True),
        boxes=study.boxes.head(0),
    )


def _refuse_pruned(study: StudyTables, trials: pd.DataFrame, kept: pd.DataFrame) -> None:
    pruned = kept[kept["status"] == "pruned"]
    if pruned.empty:
        return
    dropped = trials[trials["role"].isin(CANDIDATES)].drop(kept.index)
    cohort = ["batch_size", "cohort"]
    split = pruned.merge(dropped[cohort].drop_duplicates(), on=cohort)
    if len(split):
        raise AnalysisError(
            "--equal-trials must not split a cohort in which trials were pruned, got "
            f"{len(split)} trials in {study.name} that were pruned in favor of others, which it "
            "drops; leave it out, or run as many trials at every batch size"
        )
