"""Records made up from a contract alone: whole ones (``records``), and ones with faults on purpose (``faults``)."""
