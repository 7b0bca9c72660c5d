"""Captions: written by a model, put in order by rule, edited in bulk, and never lost."""
