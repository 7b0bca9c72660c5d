"""The terminal: never imports torch, diffusers or transformers; the engine is another process."""
