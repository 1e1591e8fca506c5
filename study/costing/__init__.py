"""The cost of a training step: time, memory and energy, measured at each batch size."""
