"""What a client is sent where the store is unavailable."""

from typing import Final

#: Seconds after which the client may try again.
RETRY_AFTER_SECONDS: Final = 5
