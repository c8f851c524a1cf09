"""A refresh token of djangorestframework-simplejwt, read by that package's own classes and settings."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, cast

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables
from jwt.exceptions import PyJWKClientConnectionError
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

from authx.contrib.moving.endings import ended_since
from authx.contrib.moving.jwt_claims import UNUSABLE, has_usable_names, issued_at
from authx.contrib.moving.once import OldCredential, mark_of
from authx.core.reasons import EndReason
from authx.errors import RefreshMalformed, SessionEnded, StoreUnavailable
from authx.store import database

#: The package's module, with the settings and models as its own classes know them.
jwt: Any = tokens

#: No token of anybody's is longer.
MAX_LENGTH: Final = 16_384

#: What the words of that package mean in ours.
_REASONS: Final = {
    "user_not_found": EndReason.USER_DELETED,
    "user_inactive": EndReason.USER_DISABLED,
    EndReason.PASSWORD_CHANGED: EndReason.PASSWORD_CHANGED,  # it has the same word
}


class OldRefreshToken:
    """A genuine one, not expired; whether it is good for anything else is asked by ``admit``."""

    @sensitive_variables()
    def __init__(
        self, text: object, token_class: Any = None, authentication_class: type = JWTAuthentication
    ) -> None:
        """Read it with ``token_class``, or the one of TOKEN_REFRESH_SERIALIZER.

        Raises:
            RefreshMalformed: that package has never issued it.
            SessionEnded: it has expired.
            StoreUnavailable: the keys of JWK_URL cannot be had.
        """
        self._token = _read(text, token_class or _refresh_class())
        self._authentication_class = authentication_class
        payload, jti = self._token.payload, jwt.api_settings.JTI_CLAIM
        name = [payload.get(jwt.api_settings.USER_ID_CLAIM), payload[jti]] if jti else [payload]
        self.mark = mark_of("simplejwt", *name)

    def credential(self, *, blacklists: bool, backend: str) -> OldCredential:
        """Return what ``move`` takes; ``blacklists`` says whether that blacklists it."""
        spend = self.blacklist if blacklists else lambda: None
        return OldCredential(mark=self.mark, admit=self.admit, spend=spend, backend=backend)

    def admit(self) -> Any:
        """Return its user.

        Raises:
            SessionEnded: it is blacklisted, or its user may not use it any more.
            RefreshMalformed: it names no user.
            StoreUnavailable: the database cannot be read.
        """
        with database.store_errors():
            if self.is_blacklisted():
                raise SessionEnded(EndReason.LOGOUT.value)
            user = user_of(self._token, self._authentication_class())
            if not jwt.api_settings.USER_AUTHENTICATION_RULE(user):
                raise SessionEnded(EndReason.USER_DISABLED.value)
            if reason := ended_since(user, self._issued_at(), but=known_by_claim()):
                raise SessionEnded(reason)
        return user

    def is_blacklisted(self) -> bool:
        """Return whether the site's blacklist has it; False without one, or without a name to be there by."""
        if not jwt.api_settings.JTI_CLAIM:
            return False
        try:
            super(type(self._token), self._token).check_blacklist()  # type: ignore[misc]
        except AttributeError:
            return False
        except TokenError:
            return True
        return False

    def blacklist(self) -> None:
        """Put it on the site's blacklist.

        Raises:
            ImproperlyConfigured: there is none.
        """
        if not self.blacklist_if_any():
            raise ImproperlyConfigured("blacklists needs rest_framework_simplejwt.token_blacklist installed.")

    def blacklist_if_any(self) -> bool:
        """Put it on the site's blacklist; return False if there is none, or no name to be there by.

        Raises:
            RefreshMalformed: it names what no user of this site can be.
        """
        has_one = bool(jwt.api_settings.JTI_CLAIM) and hasattr(self._token, "blacklist")
        if has_one:
            try:
                self._token.blacklist()
            except UNUSABLE as error:
                raise RefreshMalformed("it can name no user") from error
        return has_one

    def _issued_at(self) -> datetime:
        """Return when it was issued: exactly where the site notes that, else at the start of that second."""
        at, jti = issued_at(self._token), jwt.api_settings.JTI_CLAIM
        if jti and not jwt.OutstandingToken._meta.abstract:
            rows = jwt.OutstandingToken.objects.filter(jti=self._token[jti])
            if (noted := rows.values_list("created_at", flat=True).first()) is not None:
                return min(cast(datetime, noted), at + timedelta(seconds=1))  # it may be noted later
        return at


def known_by_claim() -> set[str]:
    """Return the reasons that a token's own claim answers exactly, if the site has it in there."""
    return {EndReason.PASSWORD_CHANGED.value} if jwt.api_settings.CHECK_REVOKE_TOKEN else set()


def user_of(token: Any, authentication: Any) -> Any:
    """Return a token's user as that package finds them.

    Raises:
        SessionEnded: there is no such user any more, or the user may not use it.
        RefreshMalformed: it names no user.
    """
    try:
        return authentication.get_user(token)
    except AuthenticationFailed as error:
        detail: Any = error.detail
        code = str(detail.get("code", "")) if isinstance(detail, dict) else detail.code
        if code == "token_not_valid":
            raise RefreshMalformed("it names no user") from error
        raise SessionEnded(_REASONS.get(code, EndReason.USER_DISABLED).value) from error
    except UNUSABLE as error:
        raise SessionEnded(EndReason.USER_DELETED.value) from error


@sensitive_variables()
def _read(text: object, token_class: Any) -> Any:
    if not isinstance(text, str) or not text.isascii() or len(text) > MAX_LENGTH:
        raise RefreshMalformed("it is no token of anybody's")
    try:
        token = _unlisted(token_class)(text)
        if isinstance(token, jwt.SlidingToken):
            token.check_exp(jwt.api_settings.SLIDING_TOKEN_REFRESH_EXP_CLAIM)
    except ExpiredTokenError as error:
        raise SessionEnded(EndReason.EXPIRED.value) from error
    except (TokenError, RecursionError, *UNUSABLE) as error:
        if _is_outage(error):
            raise StoreUnavailable("the keys of JWK_URL cannot be had") from error
        raise RefreshMalformed("it was never issued") from error
    if not has_usable_names(token):
        raise RefreshMalformed("its claims are no names")
    return token


@cache
def _unlisted(token_class: Any) -> Any:
    """Return the class without its look at the blacklist, which is asked only before the token is spent."""
    return type(token_class.__name__, (token_class,), {"check_blacklist": lambda token: None})


def _refresh_class() -> Any:
    serializer = import_string(jwt.api_settings.TOKEN_REFRESH_SERIALIZER)
    return getattr(serializer, "token_class", jwt.RefreshToken)


def _is_outage(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, PyJWKClientConnectionError):
        error = error.__cause__
    return error is not None
