"""What one training step costs: time, memory and energy, measured at each batch size."""
