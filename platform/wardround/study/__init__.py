"""Studies: what a data scientist asks the hospitals to compute, as data."""
