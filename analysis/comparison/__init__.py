"""Several studies side by side. Differences of their critical batch sizes, with tests and words."""
