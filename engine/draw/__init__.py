"""Pictures out of a model: the sampling loop that training samples, `draw` and the comparison share. Needs torch."""
