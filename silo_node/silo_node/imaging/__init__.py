"""Images held against an imaging contract: which examples are fit, and which are set aside, and why."""
