"""Programs as trials: started, read, and stopped at target, cap or budget."""
