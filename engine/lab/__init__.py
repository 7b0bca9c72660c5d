"""The laboratory: a painter of captioned scenes, the training of the small base on them, and its judge."""
