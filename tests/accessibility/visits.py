"""The pages that are looked at: which URL pattern and which template each shows, to whom, and the way there.

``VISITS`` is the one list. A page without a visit fails ``test_coverage``, whether it has a URL of its own or
stands in the place of another page; so does a URL of ours that is neither here nor in ``NO_PAGES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.urls import reverse

from tests.accessibility import ways
from tests.accessibility.tour import Tour
from tests.accessibility.world import LONG


@dataclass(frozen=True)
class Visit:
    """One page."""

    #: The name of the URL pattern that it is found at in the end.
    url: str
    template: str
    #: How it is reached; by default at the URL itself.
    go: Callable[[Tour], None] | None = None
    #: Who looks: somebody in ``World``, or nobody who is signed in.
    who: str = ""
    #: The parts of the URL: attributes of ``World``, with their own attribute behind a dot.
    args: tuple[str, ...] = ()
    query: str = ""

    def arrive(self, tour: Tour) -> None:
        if self.go is not None:
            self.go(tour)
        else:
            tour.open(f"{reverse(self.url, args=[tour.find(part) for part in self.args])}{self.query}")


def staff(url: str, template: str, *args: str, who: str = "boss", **more: Any) -> Visit:
    """A page of the admin."""
    return Visit(f"admin:authx_{url}", f"admin/{template}", who=who, args=args, **more)


def oauth(template: str, go: Callable[[Tour], None], who: str = "many") -> Visit:
    return Visit("authx-oauth:authorize", f"authx/oauth/{template}", go, who)


VISITS: dict[str, Visit] = {
    "login": Visit("authx:login", "authx/login.html"),
    "login-wrong-password": Visit("authx:login", "authx/login.html", ways.wrong_password),
    "login-after-a-kick": Visit("authx:login", "authx/login.html", ways.after_a_kick),
    "logged-out": Visit("authx:logout", "authx/logged_out.html", ways.logged_out),
    "choose": Visit("authx:login", "authx/choose.html", partial(ways.full, choose=True)),
    "choose-again": Visit("authx:login", "authx/choose.html", ways.choose_nothing),
    "refused": Visit("django-login", "authx/refused.html", partial(ways.full, choose=False)),
    "unavailable": Visit("authx:devices", "authx/unavailable.html", ways.without_a_database, "ada"),
    "confirm": Visit("authx:confirm", "authx/confirm.html", who="many"),
    "confirm-wrong-password": Visit("authx:confirm", "authx/confirm.html", ways.wrong_confirmation, "ada"),
    "confirm-without-a-password": Visit(
        "authx:confirm", "authx/confirm.html", ways.confirm_without_a_password
    ),
    "devices": Visit("authx:devices", "authx/devices.html", who="ada"),
    "devices-forty": Visit("authx:devices", "authx/devices.html", who="many", query="?all=1"),
    "devices-asked": Visit("authx:devices", "authx/devices.html", ways.asked),
    "devices-alone": Visit("authx:devices", "authx/devices.html", who="boss"),
    "activity": Visit("authx:activity", "authx/activity.html", who="many"),
    "live-notice": Visit("live-notice", "authx/_live_notice.html", ways.told_of_a_kick),
    "not-me": Visit("authx:not-me", "authx/not_me.html", ways.not_me),
    "not-me-twice": Visit("authx:not-me", "authx/not_me.html", ways.not_me_twice),
    "not-me-refused": Visit("authx:not-me", "authx/not_me_refused.html", ways.refused_not_me),
    "consent": oauth("consent.html", ways.authorize),
    "consent-after-login": Visit(
        "authx-oauth:continue", "authx/oauth/consent.html", partial(ways.authorize, at="continue"), "ada"
    ),
    "consent-to-nothing": oauth("consent.html", partial(ways.authorize, scope="", resource="")),
    "cannot-consent": oauth("cannot_consent.html", ways.as_somebody_else, "boss"),
    "leading-on": oauth("leading_on.html", ways.allow),
    "oauth-refused": oauth("refused.html", partial(ways.authorize, redirect_uri="https://evil.example/")),
    "sessions": staff("devicesession_changelist", "authx/devicesession/change_list.html"),
    "sessions-none": staff(
        "devicesession_changelist", "authx/devicesession/change_list.html", query="?q=nobody-at-all"
    ),
    "overview": staff("devicesession_overview", "authx/devicesession/overview.html"),
    "overview-days": staff("devicesession_overview", "authx/devicesession/overview.html", query="?per=day"),
    "session": staff("devicesession_change", "authx/devicesession/change_form.html", "alarmed.pk"),
    "session-history": staff("devicesession_history", "object_history.html", "alarmed.pk"),
    "limits-none": staff("devicesession_limits", "authx/devicesession/limits.html"),
    "limits": staff("devicesession_limits", "authx/devicesession/limits.html", go=ways.beyond_the_limits),
    "kick": staff(
        "devicesession_changelist",
        "authx/devicesession/kick_confirm.html",
        go=partial(ways.kick, action="kick", search="Kitchen"),
    ),
    "kick-everywhere": staff(
        "devicesession_changelist",
        "authx/devicesession/kick_confirm.html",
        go=partial(ways.kick, action="kick_everywhere", search=LONG),
    ),
    "kick-oneself": staff(
        "devicesession_changelist",
        "authx/devicesession/kick_confirm.html",
        go=partial(ways.kick, action="kick", search="boss"),
    ),
    "kick-with-an-error": staff(
        "devicesession_changelist", "authx/devicesession/kick_confirm.html", go=ways.kick_wrongly
    ),
    "clients": staff("serviceclient_changelist", "authx/serviceclient/change_list.html"),
    "client-add": staff("serviceclient_add", "authx/serviceclient/form.html"),
    "client-add-with-an-error": staff(
        "serviceclient_add", "authx/serviceclient/form.html", go=ways.add_wrongly
    ),
    "client": staff("serviceclient_change", "authx/serviceclient/form.html", "app.pk"),
    "client-to-look-at": staff(
        "serviceclient_change", "authx/serviceclient/change_form.html", "app.pk", who="viewer"
    ),
    "session-to-look-at": staff(
        "devicesession_change", "authx/devicesession/change_form.html", "alarmed.pk", who="viewer"
    ),
    "client-history": staff("serviceclient_history", "object_history.html", "disabled.pk"),
    "client-renew": staff("serviceclient_renew", "authx/serviceclient/ask.html", "secretive.pk"),
    "client-secret": staff("serviceclient_renew", "authx/serviceclient/secret.html", go=ways.renew),
    "client-disable": staff("serviceclient_disable", "authx/serviceclient/ask.html", "app.pk"),
    "client-enable": staff("serviceclient_enable", "authx/serviceclient/ask.html", "disabled.pk"),
    "keys": staff("signingkey_changelist", "authx/signingkey/change_list.html"),
    "key": staff("signingkey_change", "authx/signingkey/change_form.html", "key.pk"),
    "key-history": staff("signingkey_history", "object_history.html", "key.pk"),
    "key-rotate": staff("signingkey_rotate", "authx/signingkey/confirm.html"),
    "key-withdraw": staff("signingkey_withdraw", "authx/signingkey/confirm.html", "key.number"),
}

#: URLs of ours at which nobody finds a page by going there, and what is answered instead.
NO_PAGES: dict[str, str] = {
    "authx:devices-end-others": "leads to the devices",
    "authx:device-end": "leads to the devices",
    "authx:device-rename": "leads to the devices",
    "authx:device-confirm": "leads to the devices",
    "authx:app-disconnect": "leads to the devices",
    "authx:live": "JSON, or a stream",
    "authx-oauth:token": "JSON",
    "authx-wellknown:jwks": "JSON",
    "authx-wellknown:authorization-server": "JSON",
    "authx-wellknown:ready": "JSON",
    "admin:authx_devicesession_add": "forbidden",
    "admin:authx_devicesession_delete": "forbidden",
    "admin:authx_devicesession_export": "a file",
    "admin:authx_serviceclient_delete": "forbidden",
    "admin:authx_signingkey_add": "forbidden",
    "admin:authx_signingkey_delete": "forbidden",
}

#: Templates that are no page of their own, and which of Django's includes them.
NOT_PAGES: dict[str, str] = {
    "admin/authx/devicesession/actions.html": "the list",
    "admin/authx/devicesession/pagination.html": "the list",
}
