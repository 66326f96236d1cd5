"""Wardround's platform: the language that hospitals and the coordinator both speak.

It holds no patient data and offers no network service. Rooms: ``contract`` (shared schemas), ``study``, ``messages``,
``identity``, ``weights`` (packing and the exact sum), ``metrics`` (pooled from counts), ``models`` (MONAI networks;
never imported by what the coordinator reaches).
"""

__version__ = "0.1.0"
PROTOCOL = 1
"""Version of the messages between coordinator and hospitals; any other is refused."""
