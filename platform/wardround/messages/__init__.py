"""What crosses the wall between a hospital and the coordinator: frozen, closed, signed values without free text."""
