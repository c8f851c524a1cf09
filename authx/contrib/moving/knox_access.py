"""The authentication class of knox, as long as the site is moving."""

from __future__ import annotations

from typing import Any

from knox.auth import TokenAuthentication
from knox.crypto import hash_token

from authx.contrib.moving.once import mark_of
from authx.contrib.moving.token_access import Judged


class KnoxAuthentication(Judged, TokenAuthentication):  # type: ignore[misc]
    """A token that has been exchanged ends with the session that it has become."""

    def mark(self, credential: Any) -> str:
        return mark_of("knox", hash_token(credential.decode()))
