"""The JavaScript client, in a real browser against the real site, and as a package."""
