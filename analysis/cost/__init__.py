"""Time, examples, money and energy to target: step times joined with steps to target."""
