"""The ranges that were searched at each batch size."""

from collections.abc import Mapping
from typing import Any

from study.config.space import Range
from study.config.study import ResolvedStudy

Regions = dict[tuple[int, int], Mapping[str, tuple[float, float]]]
"""Boxes of hyperparameters by batch size and number of the region."""


def box_rows(resolved: ResolvedStudy, regions: Regions) -> list[dict[str, Any]]:
    """Return the rows of `boxes.parquet`."""
    ranges = {n: entry for n, entry in resolved.search.space.items() if isinstance(entry, Range)}
    study_box = {n: (r.low, r.high) for n, r in ranges.items()}
    boxes = {(size, 0): study_box for size in resolved.searched} | dict(regions)
    return [
        {
            "batch_size": size,
            "region": region,
            "hyperparameter": name,
            "low": low,
            "high": high,
            "scale": str(ranges[name].scale),
        }
        for (size, region), box in sorted(boxes.items())
        for name, (low, high) in box.items()
    ]
