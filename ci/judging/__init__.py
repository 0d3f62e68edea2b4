"""The clauses of the gate: pure functions from scores and settings to outcomes with reasons."""
