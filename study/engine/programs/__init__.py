"""Programs as trials: started, read, and ended at target, cap or budget."""
