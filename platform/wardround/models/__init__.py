"""Networks of the allow-list, built with torch and MONAI. Nothing that the coordinator reaches imports this package."""
