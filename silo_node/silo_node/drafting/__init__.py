"""A draft of a mapping: what local columns are likely to mean, for a person to confirm. No check ever reads by it."""
