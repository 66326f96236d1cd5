"""How comparable the hospitals of a study are, from what they told of their records before the first round."""
