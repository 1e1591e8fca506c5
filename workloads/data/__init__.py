"""Data sets of the built-in workloads: from installed packages, or files that the user has."""
