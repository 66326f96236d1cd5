"""The demonstration: real patients in a made-up split over four made-up hospitals."""
