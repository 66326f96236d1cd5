"""Records held against a contract: one cheap pass over everything, then the details of what failed."""
