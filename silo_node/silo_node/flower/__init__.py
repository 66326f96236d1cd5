"""The hospital's side of Flower: the SuperNode, started as a process of its own, and the node that takes its tasks.

Nothing here holds records, and what is sent is only ever what the egress gate made.
"""
