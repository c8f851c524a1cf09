"""What a site does for other services: signing keys, credentials, introspection, the feed of endings."""
