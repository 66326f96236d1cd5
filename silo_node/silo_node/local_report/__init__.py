"""What people at the hospital see of a check: the table on the terminal, the page, the history, the answer from before."""
