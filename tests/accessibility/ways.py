"""The ways to pages that nobody finds at a URL of their own: what is sent, and what has happened before."""

from __future__ import annotations

from urllib.parse import urlencode

from django.test import override_settings
from django.urls import reverse

from authx.sessions import end_session
from authx.sessions.not_me import write_link_token
from tests.accessibility.tour import Tour
from tests.accessibility.world import API, CALLBACK, LONG, change, sign_in
from tests.conftest import PASSWORD
from tests.faults_in_database import outage

LIST = "admin:authx_devicesession_changelist"
#: Web browsers may sign in once at a time.
ONE = {"types": ["web", "other"], "limit": 1, "when_full": "refuse"}


def wrong_password(tour: Tour) -> None:
    tour.open("authx:login")
    tour.fill(username="ada", password="wrong")
    tour.send()


def after_a_kick(tour: Tour) -> None:
    """Open a page with the cookies of a session that has just been ended."""
    tour.sign_in("ada")
    end_session(tour.session(), "kicked")
    tour.open("authx:devices")


def asked(tour: Tour) -> None:
    """Look at the devices from one that is known, where of others it is asked whose they are."""
    tour.sign_in("many")
    change(tour.session(), is_unconfirmed=False)
    tour.open("authx:devices")
    tour.page.locator(".authx-ask").first.wait_for()


def logged_out(tour: Tour) -> None:
    tour.sign_in("ada")
    tour.open("authx:devices")
    tour.press(tour.page.locator(f"form[action='{reverse('authx:logout')}'] button"))


def full(tour: Tour, *, choose: bool) -> None:
    """Sign in where no more devices are allowed; without a choice at a page that is none of ours."""
    with override_settings(AUTHX_SESSION_LIMITS=[{**ONE, "choose": choose}]):
        tour.open("authx:login" if choose else "django-login")
        tour.fill(username=LONG, password=PASSWORD)
        tour.send()


def choose_nothing(tour: Tour) -> None:
    """Send the choice when its place has been taken by somebody else."""
    with override_settings(AUTHX_SESSION_LIMITS=[{**ONE, "choose": True}]):
        full(tour, choose=True)
        tour.page.evaluate(
            "document.querySelectorAll('[name=end]:checked').forEach((box) => (box.checked = false))"
        )
        tour.page.evaluate("document.querySelectorAll('[name=end]').forEach((box) => (box.required = false))")
        tour.send()


def without_a_database(tour: Tour) -> None:
    with outage():
        tour.open("authx:devices")


def told_of_a_kick(tour: Tour) -> None:
    """End the session of an open page, which says so."""
    tour.sign_in("ada")
    tour.open("live-notice")
    end_session(tour.session(), "kicked")
    tour.page.evaluate("dispatchEvent(new Event('online'))")
    tour.page.locator("dialog[open]").wait_for()


def wrong_confirmation(tour: Tour) -> None:
    tour.open("authx:confirm")
    tour.fill(password="wrong")
    tour.send()


def confirm_without_a_password(tour: Tour) -> None:
    """As one who signs in elsewhere, whose login page has sent them back unchanged."""
    user = tour.world.passwordless
    tour.enter(user)
    for _once_there_and_back in range(2):
        tour.open("authx:confirm")


def authorize(tour: Tour, at: str = "authorize", **changes: str) -> None:
    asked = {
        "response_type": "code",
        "client_id": tour.world.app.client_id,
        "redirect_uri": CALLBACK,
        "scope": "orders:read orders:write",
        "resource": API,
        "prompt": "consent",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
        **changes,
    }
    tour.open(f"{reverse(f'authx-oauth:{at}')}?{urlencode(asked)}")


def allow(tour: Tour) -> None:
    authorize(tour)
    tour.press(tour.page.locator("[name=decision][value=allow]"))


def as_somebody_else(tour: Tour) -> None:
    with tour.acting_as(tour.world.ada):
        authorize(tour)


def kick(tour: Tour, action: str, search: str) -> None:
    """Tick the rows that a search finds, choose the action, and press the button: a page asks for a yes."""
    tour.open(f"{reverse(LIST)}?{urlencode({'q': search, 'status': 'live'})}")
    for box in tour.page.locator("input.action-select").all():
        box.check()
    tour.page.locator("select[name=action]").select_option(action)
    tour.press(tour.page.locator(".actions button[type=submit]").first)
    tour.page.locator("[name=post]").wait_for(state="attached")


def kick_wrongly(tour: Tour) -> None:
    """Send a reason that is too long: the page shows what is wrong."""
    kick(tour, "kick", "Kitchen")
    tour.page.evaluate("document.querySelector('[name=reason]').removeAttribute('maxlength')")
    tour.fill(reason="x" * 300)
    tour.press(tour.page.locator(".submit-row [type=submit]"))
    tour.page.locator(".errorlist").first.wait_for()


def beyond_the_limits(tour: Tour) -> None:
    with override_settings(AUTHX_SESSION_LIMITS=[{"types": None, "limit": 2}]):
        tour.open("admin:authx_devicesession_limits")


def add_wrongly(tour: Tour) -> None:
    tour.open("admin:authx_serviceclient_add")
    tour.page.evaluate("document.querySelector('[name=name]').required = false")
    tour.fill(redirect_uris="ftp://wrong.example/#part")
    tour.press(tour.page.locator(".submit-row [type=submit]"))


def renew(tour: Tour) -> None:
    tour.open(reverse("admin:authx_serviceclient_renew", args=[tour.world.secretive.pk]))
    tour.press(tour.page.locator(".submit-row [type=submit]"))


def not_me(tour: Tour) -> None:
    """Follow the link of a mail; nobody is signed in."""
    tour.open(reverse("authx:not-me", args=[write_link_token(tour.world.alarmed.pk)]))


def not_me_twice(tour: Tour) -> None:
    """Follow the link of a mail about a session that is over."""
    session = sign_in(tour.world.ada, on="tablet")
    end_session(session, "logout")
    tour.open(reverse("authx:not-me", args=[write_link_token(session.pk)]))


def refused_not_me(tour: Tour) -> None:
    """Follow a link that is no good."""
    tour.open(reverse("authx:not-me", args=["nothing"]))
