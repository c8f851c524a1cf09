"""Two identities in one browser, with the real packages."""
