"""Data sets of the built-in workloads, from installed packages or the user's files."""
