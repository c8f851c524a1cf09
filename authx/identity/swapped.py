"""A Django session that was put in place of the one that the request came with, and its device session.

allauth's app views do so: whoever holds the session's key sends it in a header, and keeps no cookies of ours.
So the device session is bound in it at once, and nothing is delivered.
"""

from __future__ import annotations

from contextlib import suppress

from django.contrib.sessions.backends.base import UpdateError

from authx.http import django_session
from authx.http.request_state import RequestState
from authx.identity.password_change import own_password_change
from authx.identity.visit import Visit
from authx.sessions.lookup import find_by_sid


def keep_binding(visit: Visit, state: RequestState) -> None:
    """Leave a swapped Django session bound to the device session that it now has.

    Bind it after its own password change; undo the binding to a session that was rolled back. Whoever has put
    it there has stored it before the response came here, so it is stored once more.

    Raises:
        StoreUnavailable: that cannot be known, or cannot be written.
    """
    with visit.in_place():
        _keep_binding(visit, state)


def read_again(visit: Visit) -> None:
    """Forget what the request's own Django session held, where a swapped one is the same and stored since.

    An app may send the key of the session that its cookie names, too: two objects of one session. What is
    bound and saved behind the view must not put back what the view has changed.
    """
    own = visit.django_session
    key = getattr(own, "session_key", None)
    if key is None or own.modified:  # what is written over what is Django's own business then
        return
    if any(getattr(swapped.django_session, "session_key", None) == key for swapped in visit.swapped):
        vars(own).pop("_session_cache", None)


def _keep_binding(visit: Visit, state: RequestState) -> None:
    request = visit.request
    if visit.known.session is None or not django_session.is_used(request) or not request.session.modified:
        return
    changed = own_password_change(request, visit.known, state)
    if changed is not None:
        visit.identify(changed)
    credentials = visit.known.delivery.credentials
    if credentials is None:
        return
    sid = str(credentials.session.pk)
    if changed is not None:
        django_session.bind(request, sid)
    elif django_session.bound_to(request) == sid and find_by_sid(credentials.session.pk) is None:
        django_session.unbind(request)
    else:
        return
    if request.session.session_key is not None:
        with suppress(UpdateError):  # it was deleted meanwhile, or rolled back itself
            request.session.save()
