"""Whether the session of a token has ended: the question, and the sources that can answer it."""
