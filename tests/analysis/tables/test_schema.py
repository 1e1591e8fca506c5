"""Names that belong to columns, so that no hyperparameter takes one."""

import csv
import json
from pathlib import Path

import pytest

from analysis.tables.schema import RESERVED_COLUMNS

REFERENCE = Path(__file__).parents[3] / "results" / "reference"
SEARCHED = {
    *("lr", "momentum", "1 - momentum", "beta1", "1 - beta1", "beta2", "eps", "weight_decay"),
    *("adamw_lr_ratio", "beta2_half_life"),
}


def tables_of(value):
    """Return the columns of every table of rows in a nested JSON value."""
    if isinstance(value, dict):
        return [columns for part in value.values() for columns in tables_of(part)]
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    return [set().union(*rows)] if rows else []


@pytest.mark.parametrize("pattern", ["metaparameters.csv", "search.csv", "summary.json"])
def test_every_column_beside_a_hyperparameter_is_reserved(pattern):
    seen = 0
    for path in REFERENCE.rglob(pattern):
        text = path.read_text()
        tables = (
            tables_of(json.loads(text))
            if path.suffix == ".json"
            else [set(next(csv.reader(text.splitlines())))]
        )
        for columns in tables:
            if "lr" in columns:
                seen += 1
                own = {name for name in columns if ", " not in name}  # no name has a comma
                assert own - SEARCHED - RESERVED_COLUMNS == set()
    assert seen > 0
