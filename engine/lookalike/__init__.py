"""Words and look-alikes: what a base makes of a word, and which name it draws most like the subject."""
