"""What of other apps' notes in the Django session, on how its user was proved, authx has seen already.

allauth keeps records, django-otp the device, django-mfa2 the method. Who they are about, and what they are
worth, is for the pages.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

#: In a Django session: the newest notes of each app that its device session knows of.
SEEN_KEY = "_authx_proofs"
#: Where the apps put them.
ALLAUTH, OTP, MFA2 = "account_authentication_methods", "otp_device_id", "mfa"


def see(request: HttpRequest) -> None:
    """Remember that all that is proved by now is known, or is not to count."""
    request.session[SEEN_KEY] = state(request)


def see_if_first(request: HttpRequest) -> None:
    """The same where nothing was seen before: what is proved by then was no login of ours."""
    if SEEN_KEY not in request.session:
        see(request)


def has_news(request: HttpRequest) -> bool:
    """True if another app has noted a proof since; looks at no Django session that nobody has written to."""
    session = getattr(request, "session", None)
    if session is None or not session.modified:
        return False
    return bool(state(request) != session.get(SEEN_KEY, {}))


def state(request: HttpRequest) -> dict[str, Any]:
    """What to compare: the time of allauth's newest record, the device of django-otp, the proof of mfa2."""
    session = request.session
    newest = max((at for at, _record in allauth_records(request)), default=0)
    mfa2 = session.get(MFA2)
    proof = [str(mfa2.get("method")), str(mfa2.get("id"))] if isinstance(mfa2, dict) else None
    found = {"allauth": newest, "otp": session.get(OTP), "mfa2": proof}
    return {name: value for name, value in found.items() if value}


def allauth_records(request: HttpRequest) -> list[tuple[float, dict[str, Any]]]:
    """When, and what allauth noted of each way in that somebody has gone, whoever it was."""
    found = request.session.get(ALLAUTH)
    if not isinstance(found, list):
        return []
    return [
        (float(record["at"]), record)
        for record in found
        if isinstance(record, dict) and isinstance(record.get("at"), int | float)
    ]
