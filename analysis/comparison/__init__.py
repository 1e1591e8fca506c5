"""Studies side by side: steps, fits and critical batch sizes, in sentences, JSON and tables."""
