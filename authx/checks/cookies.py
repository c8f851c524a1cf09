"""System checks of our cookies: their names, how far they go, and Django's cookies beside them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from authx.conf import Conf, conf

PARTITIONING = "authx.pages.partitioned.PartitionedCookiesMiddleware"

_SETTING_COOKIES = {
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
}


def check_cookies() -> list[CheckMessage]:
    """Check all of it, where every setting keeps its own rule."""
    return [*_names(), *_attributes(), *_frames(), *_neighbors()]


def _names() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    names = [conf.ACCESS_COOKIE, conf.REFRESH_COOKIE, conf.DEVICE_COOKIE]
    if not conf.COOKIE_SECURE and any(name.startswith(("__Host-", "__Secure-")) for name in names):
        text = "A cookie named __Host-... is refused by browsers while AUTHX_COOKIE_SECURE is False."
        hint = "Set AUTHX_COOKIE_SECURE = True, or rename AUTHX_ACCESS_COOKIE, _REFRESH_ and _DEVICE_."
        found.append(Error(text, hint=hint, id="authx.E004"))
    taken = [*names, settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME]
    if len(set(taken)) != len(taken):
        text = "Two of our cookies, or one of ours and one of Django's, have the same name."
        hint = "Give AUTHX_ACCESS_COOKIE, AUTHX_REFRESH_COOKIE and AUTHX_DEVICE_COOKIE names of their own."
        found.append(Error(text, hint=hint, id="authx.E005"))
    return found


def _attributes() -> list[CheckMessage]:
    if conf.COOKIE_SAMESITE == "None" and not conf.COOKIE_SECURE:
        text = 'AUTHX_COOKIE_SAMESITE = "None" needs AUTHX_COOKIE_SECURE = True.'
        return [Error(text, hint="Browsers drop such cookies.", id="authx.E006")]
    if conf.COOKIE_PARTITIONED and conf.COOKIE_SAMESITE != "None":
        text = 'AUTHX_COOKIE_PARTITIONED = True needs AUTHX_COOKIE_SAMESITE = "None".'
        hint = "Other cookies do not come into a frame of another site at all."
        return [Error(text, hint=hint, id="authx.E024")]
    return []


def _frames() -> list[CheckMessage]:
    """Demand that Django's cookies go where ours do: its CSRF check refuses our own login page otherwise."""
    found: list[CheckMessage] = []
    if conf.COOKIE_SAMESITE != "None":
        return found
    if staying := ", ".join(_staying()):
        text = f'AUTHX_COOKIE_SAMESITE is "None", but Django\'s own cookies stay out of frames: {staying}.'
        hint = (
            "In a frame of another site every form is refused then, and request.session is empty: set each "
            '_SAMESITE to "None", each _SECURE to True.'
        )
        found.append(Warning(text, hint=hint, id="authx.W025"))
    if conf.COOKIE_PARTITIONED and not _is_partitioning():
        text = "AUTHX_COOKIE_PARTITIONED is True, and Django's own cookies are not partitioned."
        hint = f"Put {PARTITIONING} first in MIDDLEWARE; silence this where something else partitions them."
        found.append(Warning(text, hint=hint, id="authx.W026"))
    return found


def _staying() -> list[str]:
    """Return the settings by which a cookie that a form needs is not sent in a frame of another site."""
    kinds = ["SESSION"] if settings.CSRF_USE_SESSIONS else ["SESSION", "CSRF"]
    found: list[str] = []
    for kind in kinds:
        if str(getattr(settings, f"{kind}_COOKIE_SAMESITE") or "").lower() != "none":
            found.append(f"{kind}_COOKIE_SAMESITE")
        if not getattr(settings, f"{kind}_COOKIE_SECURE"):
            found.append(f"{kind}_COOKIE_SECURE")
    return found


def _is_partitioning() -> bool:
    """Return whether the middleware stands before those whose cookies it is to see."""
    order = list(settings.MIDDLEWARE)
    if PARTITIONING not in order:
        return False
    return _SETTING_COOKIES.isdisjoint(order[: order.index(PARTITIONING)])


def _neighbors() -> list[CheckMessage]:
    """Demand names of its own where the site says itself that it shares its host."""
    prefix = settings.FORCE_SCRIPT_NAME or ""
    paths: list[Any] = [f"{prefix}/", settings.SESSION_COOKIE_PATH, settings.CSRF_COOKIE_PATH]
    ours = (Conf.ACCESS_COOKIE, Conf.REFRESH_COOKIE, Conf.DEVICE_COOKIE)
    shared = [setting.name for setting in ours if setting.configured() == setting.default]
    if not shared or all(path in {"/", "//"} for path in paths):
        return []
    text = f"This site shares its host with others, and our cookies are on Path=/: {', '.join(shared)}."
    hint = "Give them names of their own here, or a login at a site that uses authx too ends this one's."
    return [Warning(text, hint=hint, id="authx.W027")]
