""" "Was this you?": which new sign-ins a visitor may answer for, for the devices page and the API."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpRequest
from django.utils.translation import gettext as _

from authx.http.device_cookie import presented_device
from authx.models import DeviceSession
from authx.sessions import new_devices


def confirmable(
    request: HttpRequest, current: DeviceSession | None, sessions: Iterable[DeviceSession]
) -> list[DeviceSession]:
    """Return those of the sessions that nobody has confirmed yet and ``current``, the visitor's own, may."""
    unconfirmed = [one for one in sessions if one.is_unconfirmed]
    return new_devices.confirmable(current, unconfirmed, device_id=_browser(request))


def objection_to_no(current: DeviceSession | None, session: DeviceSession) -> str:
    """Return why the visitor, in session ``current``, cannot disown the other one; ``""`` if they can."""
    if current is not None and current.pk == session.pk:
        return _("A device cannot answer for itself. Answer on another of your devices.")
    return ""


def objection_to_yes(request: HttpRequest, current: DeviceSession | None, session: DeviceSession) -> str:
    """Return why the visitor cannot confirm it; ``""`` if they can."""
    if objection := objection_to_no(current, session):
        return objection
    if not new_devices.may_confirm(current, session, device_id=_browser(request)):
        return _("This device is new itself. Answer on one that you have used before.")
    return ""


def _browser(request: HttpRequest) -> str:
    """Return the id of the browser, by its own cookie; what a login says of its device is not asked."""
    device = presented_device(request)
    return "" if device is None else device.id
