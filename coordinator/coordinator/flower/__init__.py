"""The centre's side of Flower: the hardened SuperLink, the Control API, the run and the grid. Flower is imported nowhere else."""
