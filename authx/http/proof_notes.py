"""Which of other apps' notes in the Django session, on how its user authenticated, authx has seen already.

allauth keeps records, django-otp the device, django-mfa2 the method. The pages decide whom they are about and
what they are worth.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

#: In a Django session: the newest notes of each app that its device session knows of.
SEEN_KEY = "_authx_proofs"
#: The keys under which the apps keep their notes.
ALLAUTH, OTP, MFA2 = "account_authentication_methods", "otp_device_id", "mfa"


def see(request: HttpRequest) -> None:
    """Mark all notes so far as seen: they are known, or are not to count."""
    request.session[SEEN_KEY] = state(request)


def see_if_first(request: HttpRequest) -> None:
    """Mark all notes so far as seen, unless some were before: those so far come from no login of ours."""
    if SEEN_KEY not in request.session:
        see(request)


def has_news(request: HttpRequest) -> bool:
    """Return whether another app has noted a proof since; does not read a session that is unmodified."""
    session = getattr(request, "session", None)
    if session is None or not session.modified:
        return False
    return bool(state(request) != session.get(SEEN_KEY, {}))


def state(request: HttpRequest) -> dict[str, Any]:
    """Return what to compare: the time of allauth's newest record, django-otp's device, mfa2's proof."""
    session = request.session
    newest = max((at for at, _record in allauth_records(request)), default=0)
    mfa2 = session.get(MFA2)
    proof = [str(mfa2.get("method")), str(mfa2.get("id"))] if isinstance(mfa2, dict) else None
    found = {"allauth": newest, "otp": session.get(OTP), "mfa2": proof}
    return {name: value for name, value in found.items() if value}


def allauth_records(request: HttpRequest) -> list[tuple[float, dict[str, Any]]]:
    """Return time and content of each of allauth's records of an authentication, whoever's it was."""
    found = request.session.get(ALLAUTH)
    if not isinstance(found, list):
        return []
    return [
        (float(record["at"]), record)
        for record in found
        if isinstance(record, dict) and isinstance(record.get("at"), int | float)
    ]
