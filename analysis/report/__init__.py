"""What `analyze` prints and writes. One analysis goes in; words, JSON and tables come out."""
