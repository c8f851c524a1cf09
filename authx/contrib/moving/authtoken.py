"""Moving in from DRF's authtoken: one token for all of a user's devices becomes one session for each of them.

It has no end of its own; ``token_access`` gives it one.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from authx.conf import conf
from authx.contrib.moving import view
from authx.contrib.moving.once import OldCredential, mark_of
from authx.core.rates import Rate
from authx.sessions import Device


class Exchange(view.Exchange):
    """``POST`` with a token of authtoken, once for each ``device.id``, which is therefore needed."""

    authentication_class: Any = TokenAuthentication
    backend = ""

    @sensitive_variables()
    def old_credential(self, request: Request, device: Device) -> OldCredential:
        if not device.id:
            raise ValidationError(
                {"device": {"id": [_("One token serves many devices: say which this is.")]}}
            )
        text = self.presented(request)
        self._key = self.user_and_token(text)[1].key
        return OldCredential(
            mark=mark_of("authtoken", self._key, device.id),
            admit=lambda: self.user_and_token(text)[0],
            backend=self.backend,
        )

    def limit(self, old: OldCredential) -> tuple[str, Rate | None]:
        """Return the limit of logins for one account: whoever has the token can name any device."""
        return mark_of("authtoken", self._key), conf.LOGIN_RATE
