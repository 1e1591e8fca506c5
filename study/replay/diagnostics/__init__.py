"""Diagnostics of a recorded trial while it trains again, one module each."""
