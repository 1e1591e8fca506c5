"""Training of one cohort in lockstep. The engine knows neither Ray nor Optuna nor tables."""
