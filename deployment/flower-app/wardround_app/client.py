raise SystemExit("Wardround runs from its own installation; this bundle holds no code.")
