"""The study of ``benchmarks/rounds.py`` as a plain Flower app: FedAvg, and a ClientApp that Flower starts for every message."""
