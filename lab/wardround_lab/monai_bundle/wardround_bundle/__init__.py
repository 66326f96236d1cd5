"""What the model of this bundle needs beside MONAI's own classes; configs/inference.json names each part.

It was copied out of Wardround, needs none of it, and is under the Apache License 2.0.
"""
