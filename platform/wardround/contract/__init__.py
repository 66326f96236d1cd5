"""Shared data contracts: what a hospital's records must look like before a study may use them."""
