"""Finished runs of any trainer, read as a study from tables and trackers; studies as a table."""
