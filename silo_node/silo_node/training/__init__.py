"""Training and evaluation inside the hospital: the only room with records, torch and MONAI. No network."""
