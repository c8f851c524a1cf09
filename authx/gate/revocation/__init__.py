"""Whether the session of a token has ended: the question, and those that can answer it."""
