"""The round loop: send, admit, add exactly, decide by the study's own rules, step."""
