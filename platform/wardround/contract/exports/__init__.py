"""A contract in the words of others: for editors, for programs that know Table Schema or JSON Schema, and for people."""
