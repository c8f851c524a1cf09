"""The OAuth door: users allow clients here, and clients fetch their tokens (RFC 6749)."""
