"""What all figures are drawn with: style, axes, ticks, labels, series of points and curves."""
