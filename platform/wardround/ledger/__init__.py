"""A hospital's ledger: what stands in it, how its lines hold together, and how anybody verifies it with public keys alone."""
