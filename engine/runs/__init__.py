"""The run folder: all that the terminal and the engine process share. Light: standard library only."""
