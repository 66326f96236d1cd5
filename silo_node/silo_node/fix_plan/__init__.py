"""What the site file alone could solve of what a check found: proposed, proved in memory, written, never applied."""
