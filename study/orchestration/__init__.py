"""Ray: a sweep as runs of Ray Tune, its workers, its cluster. No other package imports Ray."""
