"""Trials that were below the target before they trained: their steps say nothing of training."""

from analysis.tables.schema import TRIAL_KEY
from analysis.tables.study import StudyTables


def begun_below(study: StudyTables, target: float) -> int:
    """Return how many trials were below a target before they took a step."""
    start = study.curves[study.curves["step"] == 0]
    below: int = start[start["val_error"] < target].drop_duplicates(list(TRIAL_KEY)).shape[0]
    return below


def begun_sentences(begun: int) -> tuple[str, ...]:
    """Return what `begun_below` trials below the target mean; nothing for none."""
    if not begun:
        return ()
    trials = f"{begun} trial was" if begun == 1 else f"{begun} trials were"
    return (
        f"{trials} below the target before training, so steps to target depend partly on lucky "
        "starts: lower race.target, in a new results folder.",
    )
