"""``silo doctor`` and ``coordinator doctor``: what both share, from the form of a line to the checks of any machine."""
