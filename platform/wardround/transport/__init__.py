"""How an envelope travels through Flower: as objects of its protocol, over its Runtime API. Both sides use this room.

Flower is imported here and in the two rooms named ``flower`` only.
"""
