"""Numbers read from the tables: steps to target, replicates, budgets, scaling rules."""
