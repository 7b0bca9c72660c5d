"""The monitor: what a run's events add up to, and the screen that shows it."""
