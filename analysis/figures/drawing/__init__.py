"""The parts that all figures share: style, axes, ticks, legends, series of points and curves."""
