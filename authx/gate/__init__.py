"""Whether a token is valid now. No models, no DRF: all that a verify-only service needs."""

from authx.gate.verify import verify_access_token

__all__ = ["verify_access_token"]
