"""A sweep shown in experiment trackers, from a process of its own that cannot harm the sweep."""
