"""How a hospital's records have changed since a study was approved; for the hospital alone, nothing of it leaves."""
