"""djoser and dj-rest-auth, the real packages, called with our tokens."""
