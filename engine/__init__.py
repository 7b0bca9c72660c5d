"""Everything that computes: plan, dataset, base models, training, drawing. Never imports textual or rich."""

__version__ = "0.1.0"
