"""Signing in and out on the web: attempts, their limit, and the session that a browser came with. No DRF."""
