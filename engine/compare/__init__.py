"""Comparing checkpoints: what is drawn of them, what was measured, and the choice, in a run folder of its own."""
