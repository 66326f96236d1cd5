"""How far a node's clock may be from the centre's: Flower refuses signatures that are older, or from the future."""

AHEAD_SECONDS, BEHIND_SECONDS = 5.0, 300.0
