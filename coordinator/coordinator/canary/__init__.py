"""Canaries: a visit on made-up numbers to every hospital of a study, that says who is ready and how long a round may take."""
