"""Readers of a hospital's files. Whatever goes wrong becomes a coded fault; no library's error text passes here."""
