"""What `analyze` prints and writes: an analysis as sentences, JSON and tables."""
