from types import SimpleNamespace

from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import DIAGNOSTICS_FILE
from analysis.tables.study import read_table
from study.records import Role
from study.storage.diagnostics import rows_to_keep, write_diagnostics


def a_row(what, trial, size=8):
    key = {"what": what, "batch_size": size, "role": "search", "trial": trial, "step": 1}
    return key | {"moment": "end", "quantity": "trace", "variant": "", "value": None}


def test_rows_of_other_diagnostics_stay_as_long_as_their_trial_is_the_best(tmp_path):
    folder = ResultsFolder.at(tmp_path)
    best = [SimpleNamespace(batch_size=8, point=SimpleNamespace(role=Role.SEARCH, trial=3))]
    assert rows_to_keep(folder, ["gap"], best) == []
    rows = [a_row("noise", 3), a_row("gap", 3), a_row("noise", 2), a_row("noise", 3, size=16)]
    write_diagnostics(folder, rows)
    assert len(read_table(folder, DIAGNOSTICS_FILE)) == 4
    kept = rows_to_keep(folder, ["gap"], best)
    assert [(row["what"], row["trial"], row["batch_size"]) for row in kept] == [("noise", 3, 8)]
