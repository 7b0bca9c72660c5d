"""One module a verb, or a few close ones; each is imported when its verb is asked for."""
