"""The release: what a study leaves behind, for people (report, model card) and for programs (model, history, provenance)."""
