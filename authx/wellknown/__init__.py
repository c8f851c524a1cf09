"""The door for other services: our public keys and where to find them. Plain Django."""
