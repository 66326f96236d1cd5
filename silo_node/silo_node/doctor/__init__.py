"""``wardround silo doctor``: what a hospital's machine, its centre and its records look like before anything runs."""
