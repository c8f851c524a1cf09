"""What a client is told where the store is unavailable."""

from typing import Final

#: Seconds after which it may ask again.
RETRY_AFTER: Final = 5
