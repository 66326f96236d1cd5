"""A contact sheet of a study's images, for the hospital's own eyes: what the network will see, and what is set aside."""
