"""OAuth clients that others have written, as they come, at the real server."""
