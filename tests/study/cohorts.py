"""Cohorts of trials that differ in their learning rates."""

from study.records import Cohort, Point


def cohort_of(lrs, batch_size=4, *, first=0, seed=100, **values):
    """Return a cohort with these learning rates; numbers and seeds count up from the first ones."""
    values = {"momentum": 0.5} | values
    points = (
        Point(trial=first + i, seed=seed + i, values={"lr": lr} | values)
        for i, lr in enumerate(lrs)
    )
    return Cohort(batch_size=batch_size, points=tuple(points))
