"""The networks that a study may name, as data: arguments, what they serve, how many weights. No torch, no code of a network."""
