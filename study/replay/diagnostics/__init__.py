"""What is measured of a recorded trial while it trains again, a module for each diagnostic."""
