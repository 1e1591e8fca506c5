"""The output of `analyze`: an analysis as sentences, JSON and tables."""
