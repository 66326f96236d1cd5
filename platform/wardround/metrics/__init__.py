"""Metrics from counts: summed over hospitals, never averaged as ratios."""
