"""The health check: what a set of pictures, captions and class pictures will do to the LoRA, measured."""
