"""How a request proves who sends it: a security scheme for each of our authentication classes."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.urls import NoReverseMatch, reverse
from drf_spectacular.drainage import set_override
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import ResolvedComponent
from rest_framework.permissions import SAFE_METHODS

from authx.conf import conf
from authx.contrib.spectacular.scopes import alternatives
from authx.http.site_urls import at_issuer

Definition = dict[str, Any]

#: The names of the schemes in a schema.
TOKEN: Final = "authxToken"
COOKIE: Final = "authxCookie"
REFRESH_COOKIE: Final = "authxRefreshCookie"
CSRF: Final = "authxCsrf"
OAUTH: Final = "authxOAuth"
CLIENT: Final = "authxClient"


def definition(name: str) -> Definition:
    """Return the security scheme of this name, by the site's settings."""
    return _DEFINITIONS[name]()


class _Scheme:
    """Whose schemes these are: ours, whichever class of a site, or view of ours, needs one."""


set_override(_Scheme, "suppress_collision_warning", True)


def register(auto_schema: Any, *names: str) -> None:
    """Add security schemes to the schema."""
    for name in names:
        kind = ResolvedComponent.SECURITY_SCHEMA
        found = ResolvedComponent(name=name, type=kind, object=_Scheme, schema=definition(name))
        auto_schema.registry.register_on_missing(found)


def _token() -> Definition:
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The `access_token` of a login.",
    }


def _access_cookie() -> Definition:
    text = "The cookie that a login with `transport: cookie` sets; a GET needs nothing else."
    return {"type": "apiKey", "in": "cookie", "name": conf.ACCESS_COOKIE, "description": text}


def _refresh_cookie() -> Definition:
    text = "The cookie that a login with `transport: cookie` sets."
    return {"type": "apiKey", "in": "cookie", "name": conf.REFRESH_COOKIE, "description": text}


def _csrf() -> Definition:
    header = settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-")
    text = (
        "Django's CSRF token, beside its cookie: where cookies are the credential, unsafe methods need it. "
        "`GET login/` hands out both."
    )
    return {"type": "apiKey", "in": "header", "name": header, "description": text}


def _client() -> Definition:
    text = "A client's id and secret; they may stand in a form as well, or an assertion in their place."
    return {"type": "http", "scheme": "basic", "description": text}


def _oauth() -> Definition:
    """Return the flows where the site is the authorization server; else what is sent alone."""
    try:
        authorize, token = (at_issuer(reverse(f"authx-oauth:{name}")) for name in ("authorize", "token"))
    except NoReverseMatch:
        return {**_token(), "description": f"An access token of a client, issued by {conf.ISSUER}."}
    scopes = {name: str(text) for name, text in conf.SCOPES.items()}
    code = {"authorizationUrl": authorize, "tokenUrl": token, "refreshUrl": token, "scopes": scopes}
    return {
        "type": "oauth2",
        "description": "An access token of a client: with PKCE (S256) for its user, or its own.",
        "flows": {"authorizationCode": code, "clientCredentials": {"tokenUrl": token, "scopes": scopes}},
    }


_DEFINITIONS: Final = {
    TOKEN: _token,
    COOKIE: _access_cookie,
    REFRESH_COOKIE: _refresh_cookie,
    CSRF: _csrf,
    OAUTH: _oauth,
    CLIENT: _client,
}


class _OfOurs(OpenApiAuthenticationExtension):
    """What the extensions share: a site may derive from our classes, and describe what it derives."""

    match_subclasses = True
    priority = -1

    def get_security_requirement(self, auto_schema: Any) -> Any:
        # Before drf-spectacular does, to which a derived class would be another scheme of the same name.
        register(auto_schema, *_listed(self.name))
        return super().get_security_requirement(auto_schema)

    def get_security_definition(self, auto_schema: Any) -> Any:
        if isinstance(self.name, str):
            return definition(self.name)
        return [definition(name) for name in self.name]


class BearerScheme(_OfOurs):
    """``BearerAuthentication``."""

    target_class = "authx.api.authentication.BearerAuthentication"
    name = TOKEN


class CookieScheme(_OfOurs):
    """``CookieAuthentication``: the cookie alone for safe methods, the CSRF token beside it for others."""

    target_class = "authx.api.authentication.CookieAuthentication"
    name = [COOKIE, CSRF]

    def get_security_requirement(self, auto_schema: Any) -> Any:
        found = super().get_security_requirement(auto_schema)
        return {COOKIE: []} if auto_schema.method in SAFE_METHODS else found


class DelegatedScheme(_OfOurs):
    """``DelegatedAuthentication``, with the scopes that the view's permissions demand."""

    target_class = "authx.api.delegated.DelegatedAuthentication"
    name = OAUTH

    def get_security_requirement(self, auto_schema: Any) -> Any:
        super().get_security_requirement(auto_schema)
        found = alternatives(auto_schema.view.get_permissions())
        if definition(OAUTH)["type"] != "oauth2":  # other schemes name no scopes (OpenAPI 3.0.3)
            return [{OAUTH: []}] if found else []
        return [{OAUTH: list(scopes)} for scopes in found]


def _listed(name: str | list[str]) -> list[str]:
    return [name] if isinstance(name, str) else name
