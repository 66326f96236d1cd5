"""What several benchmarks share: processes and what they use of the machine, whole deployments, hospitals of paper."""
