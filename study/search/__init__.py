"""Where points come from.

Samplers and the stages of one batch size: search, extensions, replicates. Optuna lives here alone.
"""
