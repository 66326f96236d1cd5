"""Weights on the wire (one packed buffer with a manifest) and their exact sum in integers."""
