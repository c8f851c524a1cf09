"""What a request has stored in the Django session: it belongs to the visitor, and to nobody else."""

from __future__ import annotations

from authx.http import django_session
from authx.http.cookies import has_credentials
from authx.http.request_state import RequestState
from authx.identity.visit import Visit
from authx.logins.presented import presented_by


def claim_stored_data(visit: Visit, state: RequestState) -> None:
    """Bind a modified Django session to the signed-in user.

    A login through the API creates no Django session: data stored later must not be left to the browser's
    next user. And an attacker who has planted one since must not read there what was stored by an API view,
    or by a page that did not ask for the user.

    Raises:
        StoreUnavailable: whose it is cannot be known.
    """
    request = visit.request
    is_bound = visit.known.delivery.binds_django_session or state.took_over
    if is_bound or not has_credentials(request):
        return
    access = presented_by(request).access
    if access is not None and django_session.owner(request) == access.sid:
        return  # the usual case, which needs no look-up
    if (session := visit.settle().session) is not None:
        django_session.claim(request, session.user, str(session.pk), persistent=session.persistent)
