"""From local tables to the shared schema: which column is which field, and what its cells mean."""

from silo_node.mapping.resolve import FieldMapping, TableMapping, resolve

__all__ = ["FieldMapping", "TableMapping", "resolve"]
