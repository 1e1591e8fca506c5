"""Sources of points: samplers, and the stages of one batch size (search, extensions, replicates).

Only this package imports Optuna.
"""
