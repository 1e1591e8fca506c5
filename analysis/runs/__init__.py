"""Imports finished runs of any trainer from tables and trackers, and exports studies as tables."""
