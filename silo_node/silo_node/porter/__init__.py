"""The hospital's door: verifies what comes in, decides what goes out, writes down what went. It never opens records."""
