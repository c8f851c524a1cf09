"""The keys that verify our access tokens, or another issuer's."""
