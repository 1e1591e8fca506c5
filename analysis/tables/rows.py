"""Tables as other programs read them: rows of JSON, and CSV."""

import json
from typing import Any

import pandas as pd


def json_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table as rows of JSON data with all digits; null where unknown."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return rows


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV with all digits, the same on every system."""
    return table.to_csv(index=False, lineterminator="\n").encode()
