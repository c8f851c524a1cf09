"""The tokens with which a service calls another: for the user of a request, or for itself.

Works at a service that only verifies tokens, without tables of ours. The tokens come from AUTHX_TOKEN_URL, by
AUTHX_SERVICE_CREDENTIALS.
"""

from authx.client.tokens import exchange, service_token

__all__ = ["exchange", "service_token"]
