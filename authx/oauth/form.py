"""The form that a client posts to the token endpoint, read strictly (RFC 6749 §3.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.errors import OAuthError
from authx.http.bodies import body_size
from authx.http.charset import is_unreadable

#: Bytes of a body: two tokens of 8 KiB at most, percent-encoded, and the other parameters.
MAX_BODY_BYTES: Final = 64 * 1024

#: What may stand there several times (RFC 8693 §2.1, RFC 8707 §2).
_REPEATABLE: Final = frozenset({"audience", "resource"})

#: What would be in logs and histories if it stood in the URL, so that it is not taken from there.
_OF_THE_BODY: Final = frozenset(
    {
        *("grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type"),
        *("code", "code_verifier", "refresh_token", "subject_token", "actor_token", "scope"),
    }
)


@dataclass(frozen=True, slots=True)
class Form:
    """The parameters of a request; one without a value counts as absent (RFC 6749 §3.2)."""

    values: dict[str, list[str]] = field(repr=False)

    def get(self, name: str) -> str | None:
        """Return the parameter; None where it is absent."""
        found = self.values.get(name)
        return found[0] if found else None

    def require(self, name: str) -> str:
        """Return the parameter.

        Raises:
            OAuthError: it is absent.
        """
        found = self.get(name)
        if found is None:
            raise OAuthError("invalid_request", f"{name} is missing")
        return found

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of a parameter that may be repeated."""
        return tuple(self.values.get(name, ()))


@sensitive_variables()
def read_form(request: HttpRequest) -> Form:
    """Read the parameters from the body, and never from the URL.

    Raises:
        OAuthError: it is no POST, no form, too large, not readable, or repeats a parameter.
    """
    if request.method != "POST":
        raise OAuthError("invalid_request", "send a POST")
    if misplaced := _OF_THE_BODY & _names_in_url(request):
        raise OAuthError("invalid_request", f"{min(misplaced)} stands in the URL: send it in the body")
    if request.content_type != "application/x-www-form-urlencoded":
        text = "the body must be a form: application/x-www-form-urlencoded, not JSON or anything else"
        raise OAuthError("invalid_request", text)
    if body_size(request) > MAX_BODY_BYTES:
        raise OAuthError("invalid_request", "the body is too large")
    if is_unreadable(request):
        raise OAuthError("invalid_request", "the body is not UTF-8")
    try:
        lists = dict(request.POST.lists())
    except (BadRequest, SuspiciousOperation):  # too large, or too many
        raise OAuthError("invalid_request", "the body cannot be read") from None
    for name, values in lists.items():
        if len(values) > 1 and name not in _REPEATABLE:
            raise OAuthError("invalid_request", "a parameter is repeated")
        if any("\x00" in value for value in values):
            raise OAuthError("invalid_request", "a parameter holds a NUL")
    filled = {name: [value for value in values if value] for name, values in lists.items()}
    return Form({name: values for name, values in filled.items() if values})


def _names_in_url(request: HttpRequest) -> set[str]:
    try:
        return set(request.GET)
    except SuspiciousOperation:  # more than DATA_UPLOAD_MAX_NUMBER_FIELDS
        raise OAuthError("invalid_request", "the query cannot be read") from None
