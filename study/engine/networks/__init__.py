"""Models as the engine trains them: packed lanes in one traced computation, or looped."""
