"""The adapter: attached through peft, written in kohya's format, verified by reading it back."""
