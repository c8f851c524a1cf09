"""Moving in from django-rest-knox: one of its tokens is one device, and becomes one session."""

from __future__ import annotations

from typing import Any

from django.views.decorators.debug import sensitive_variables
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import get_token_model
from rest_framework.request import Request

from authx.contrib.moving import view
from authx.contrib.moving.once import OldCredential, demand_unended, mark_of, moved_session
from authx.errors import RefreshMalformed
from authx.sessions import Device
from authx.store import database


class Exchange(view.Exchange):
    """``POST`` with a token of knox, once: ``token`` in the body, or the header as knox reads it."""

    authentication_class: Any = TokenAuthentication
    #: Delete the token in the transaction that opens the session; it is of no use for a rollback then.
    deletes = False
    backend = ""

    @sensitive_variables()
    def old_credential(self, request: Request, device: Device) -> OldCredential:
        text = self.presented(request)
        digest = hash_token(text)
        mark, rows = mark_of("knox", digest), get_token_model().objects.filter(digest=digest)

        def admit() -> Any:
            user, token = self.user_and_token(text.encode())
            demand_unended(user, token.created)
            return user

        with database.store_errors():  # refused here, where that is counted; it may have been deleted since
            if not rows.exists() and moved_session(mark) is None:  # in this order: it moves, and then is gone
                raise RefreshMalformed("there is no such token")
        return OldCredential(
            mark=mark,
            admit=admit,
            spend=lambda: self.deletes and rows.delete(),
            backend=self.backend,
        )
