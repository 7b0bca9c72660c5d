"""The training run: resolve the plan, cache, attach the adapter, step, validate, sample, save. Needs torch."""
