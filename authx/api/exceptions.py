"""The API's errors: DRF exceptions, and the Bearer challenge (RFC 6750 §3)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    ParseError,
    PermissionDenied,
    ValidationError,
)
from rest_framework.request import Request

from authx import metrics
from authx.errors import (
    AuthxError,
    ChoiceInvalid,
    DeviceInvalid,
    OAuthError,
    RefreshConflict,
    SessionLimitReached,
    StoreUnavailable,
)
from authx.http.outage import RETRY_AFTER_SECONDS
from authx.http.refusals import DETAILS, body_of, challenge_for, scope_challenge
from authx.http.request_state import request_state


class Unavailable(APIException):
    """503: the session store cannot be asked, with the time to try again (RFC 9110 §15.6.4)."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = DETAILS["store_unavailable"]
    default_code = "store_unavailable"
    wait = RETRY_AFTER_SECONDS


class ContentTooLarge(APIException):
    """413: larger than any request to our views needs to be (RFC 9110 §15.5.14)."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = _("The request is too large.")
    default_code = "content_too_large"


class InvalidRequest(ParseError):
    """400: the request contradicts itself or cannot be read (RFC 6749 §5.2, RFC 6750 §3.1)."""

    default_code = "invalid_request"


class InvalidBearerRequest(InvalidRequest):
    """The same for a request with a Bearer token, whose challenge names the error (RFC 6750 §3)."""

    #: DRF sends it as ``WWW-Authenticate``.
    auth_header = 'Bearer realm="api", error="invalid_request"'


class InvalidClient(APIException):
    """401: the client's credentials are missing or unknown (RFC 6749 §5.2)."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = _("Client authentication failed.")
    default_code = "invalid_client"


class UnsupportedTokenType(APIException):
    """400: the client may know of the token, but its session is another's to end (RFC 7009 §2.2.1)."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = _("The session of this token is not this client's to end.")
    default_code = "unsupported_token_type"


class InsufficientScope(PermissionDenied):
    """403: the token is valid but was not issued for this (RFC 6750 §3.1).

    ``scopes`` are scope-tokens; without any, no scope would do.
    """

    default_detail = DETAILS["insufficient_scope"]
    default_code = "insufficient_scope"

    def __init__(self, scopes: Collection[str]) -> None:
        super().__init__()
        # DRF's own handler sends it as WWW-Authenticate.
        self.auth_header = scope_challenge(scopes)


class Conflict(APIException):
    """409, with an error code."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "refresh_conflict"


class Refused(AuthenticationFailed):
    """401 with the body that our API documents, whichever exception handler the site uses."""

    @property
    def challenge(self) -> str:
        return challenge_for(self.word, self.reason)

    def __init__(
        self, code: str, reason: str = "", replaced_by: str = "", *, answers_lost: bool = False
    ) -> None:
        self.word, self.reason = code, reason
        self._replaced_by, self._answers_lost = replaced_by, answers_lost
        super().__init__(self.body(), code=code)

    def body(self) -> dict[str, str]:
        """Return what it says, in the language that is active now."""
        return body_of(self.word, self.reason, self._replaced_by, answers_lost=self._answers_lost)


class StepUp(Refused):
    """The login is too old for this: authenticate again (RFC 9470 §3)."""

    def __init__(self, max_age: timedelta) -> None:
        super().__init__("insufficient_user_authentication")
        self.max_age = int(max_age.total_seconds())

    @property
    def challenge(self) -> str:
        return f'Bearer realm="api", error="{self.word}", max_age="{self.max_age}"'


#: The classes whose errors are authx's, wherever they are raised. The others of ``refusal`` are DRF's own.
OWN: Final = (
    Unavailable,
    ContentTooLarge,
    InvalidRequest,
    InvalidClient,
    UnsupportedTokenType,
    InsufficientScope,
    Conflict,
    Refused,
)


def refusal(error: AuthxError) -> APIException:
    """Count a refusal, and return the DRF exception that tells a client about ``error``."""
    metrics.REFUSALS.count(door="api", code=error.code)
    if isinstance(error, StoreUnavailable):
        return Unavailable()
    if isinstance(error, RefreshConflict):
        return Conflict(DETAILS[error.code], code=error.code)
    if isinstance(error, SessionLimitReached):
        return Conflict(DETAILS[error.code], code=error.code)
    if isinstance(error, OAuthError):  # the issuer lets this service call no other for the request
        return PermissionDenied(DETAILS[error.code], code=error.code)
    if isinstance(error, DeviceInvalid):
        return ValidationError({"device": [str(error)]})
    if isinstance(error, ChoiceInvalid):
        # One text, whether there is no such session, it is another user's, or no limit counts it.
        return ValidationError({"end": [gettext("There is no such session to end for this login.")]})
    return Refused(
        error.code,
        getattr(error, "reason", ""),
        getattr(error, "replaced_by", ""),
        answers_lost=getattr(error, "answers_lost", False),
    )


def challenge(request: Request) -> str:
    """Return ``WWW-Authenticate``; name the error only where a credential was presented (RFC 6750 §3)."""
    error = request_state(request._request).refusal
    if error is None:
        return challenge_for("not_authenticated")
    return challenge_for(error.code, getattr(error, "reason", ""))
