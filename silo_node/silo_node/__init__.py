"""The silo node: all that touches records. It runs inside the hospital; only numbers that the hospital approved leave it."""
