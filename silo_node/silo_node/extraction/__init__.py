"""Workbooks, files of statistics programs and databases, read in a process of their own; see ``extract``."""
