"""Phantoms: made-up bodies with lesions of known truth, sampled as a CT scanner would and written as hospitals export.

They are for demonstrations, tests and benchmarks. No patient was ever in them, and figures on them say nothing about patients.
"""
