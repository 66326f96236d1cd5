"""What the centre knows of a study, on disk before it acts on it: a chained journal, weights and replies beside it."""
