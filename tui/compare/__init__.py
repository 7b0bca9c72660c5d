"""Mode *compare*: what a comparison's report says, and the screen on which a person chooses from it."""
