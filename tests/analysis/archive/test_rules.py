"""Steps of an import against the authors' selection of trials, implemented once more."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.archive.importing import Choices, import_archive
from analysis.measures.targets import steps_to_target
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study

errors = st.one_of(st.sampled_from([0.1, 0.2, 0.3]), st.floats(0, 1), st.just(float("nan")))
curve = st.dictionaries(st.integers(1, 40), errors, max_size=6).map(lambda c: sorted(c.items()))
trials = st.lists(
    st.tuples(st.sampled_from(["COMPLETE", "INCOMPLETE", "INFEASIBLE"]), curve),
    min_size=1,
    max_size=5,
)
searches = st.dictionaries(st.sampled_from([1, 16, 128, 1024]), trials, min_size=1)


def by_brute_force(searches, target, counted):
    """The fewest steps below the target, then the lowest number, of the trials that count."""
    found = {}
    for size, trials in searches.items():
        hits = [
            (step, number)
            for number, (status, curve) in enumerate(trials)
            for step, error in curve
            if status in counted and error < target
        ]
        found[size] = min(hits, default=None)
    return found


@settings(max_examples=40, deadline=None)
@given(
    searches=searches.filter(lambda s: any(curve for t in s.values() for _, curve in t)),
    target=st.sampled_from([0.1, 0.2, 0.25, 0.5]),
    recorded=st.sampled_from([None, 0.2, 0.4]),
    all_trials=st.booleans(),
)
def test_steps_follow_the_authors_selection(write_searches, searches, target, recorded, all_trials):
    with tempfile.TemporaryDirectory() as work:
        archive = write_searches(Path(work) / "archive", searches)
        choices = Choices(target=recorded, all_trials=all_trials)
        (imported,) = import_archive(archive, ResultsFolder.at(Path(work) / "out"), choices)
        table = steps_to_target(read_study(imported.folder), target)
    counted = {"COMPLETE", "INCOMPLETE", "INFEASIBLE"} if all_trials else {"COMPLETE"}
    expected = by_brute_force(searches, target, counted)
    table = table.astype(object).where(table.notna(), None).set_index("batch_size")
    for size, hit in expected.items():
        assert (table.loc[size, "steps"], table.loc[size, "trial"]) == (hit or (None, None))
