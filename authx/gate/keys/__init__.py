"""Which keys verify our access tokens, or another issuer's."""
