"""A released model of images as a bundle that MONAI's own command runs."""
