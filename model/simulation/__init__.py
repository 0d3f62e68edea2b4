"""The simulated shop whose best reachable score is known."""
