"""One request of a browser: which device session its credentials belong to, looked up once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import LazyObject, SimpleLazyObject
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.claims import AccessClaims
from authx.core.reasons import EndReason
from authx.core.refresh_token import read_refresh_token
from authx.errors import (
    RefreshConflict,
    RefreshError,
    RefreshMalformed,
    RefreshReused,
    SessionEnded,
    StoreUnavailable,
    TokenError,
)
from authx.gate.verify import read_claims
from authx.http import cookies, django_session, renewal
from authx.http.actor import actor_of
from authx.http.request_state import notes
from authx.logins.browser import cookie_session
from authx.models import DeviceSession
from authx.pages import django_login
from authx.sessions import Credentials
from authx.sessions.activity import record_use
from authx.sessions.liveness import end_of, live_session
from authx.sessions.refreshing import exchange, hold_session, refreshable_session
from authx.sessions.risk import count_refresh
from authx.store.database import store_errors


class Visit:
    """What is known about one request; kept as ``request.authx_visit``."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        #: True once the user or the session has been asked for.
        self.touched = False
        #: The reason why the presented session has ended; None if it has not.
        self.ended_reason: str | None = None
        #: The device type of the login that took its place; ``""`` unless the reason is ``replaced``.
        self.replaced_by = ""
        #: True if the refresh token was spent and its successor is in use elsewhere.
        self.conflict = False
        #: The credentials that the response sets as cookies, if they are still current then.
        self.delivery: Credentials | None = None
        #: The session of a refresh cookie that came too often, and is therefore not spent now.
        self.held: DeviceSession | None = None
        #: True if the Django session is to be bound to the session delivered, should that still exist then.
        self.binds = False
        #: The key of the Django session that the request came with.
        self.django_key = django_session.key_of(request)
        #: The claims of a valid access cookie: there was nothing to renew. Not checked yet is whether that
        #: session is live.
        self.claims: AccessClaims | None = None
        #: True once the response has its cookies: no more can be added.
        self.is_over = False
        #: True if the response is to delete the cookies.
        self.clears = False
        self.failure: StoreUnavailable | None = None
        self._known = False
        self._session: DeviceSession | None = None
        self._user: Any = None
        self.lazy_user = SimpleLazyObject(self.user)

    @sensitive_variables()
    def renew(self) -> None:
        """Renew silently where the access cookie is missing, past its ``exp`` or unreadable."""
        request = self.request
        if renewal.has_bearer(request):
            return  # the API's business
        refresh_token = cookies.read_cookie(request, conf.REFRESH_COOKIE)
        if refresh_token is None:
            return
        try:
            self.claims = self._read_access_cookie()
            if self.claims is not None or not renewal.may_renew(request):
                return
            actor = actor_of(request)
            if count_refresh(refresh_token, actor):
                # Too often: let the visitor in unchanged, and set no cookies.
                self.held, notes(request).renewed = hold_session(refresh_token, actor)
                return
            credentials = exchange(refresh_token, actor)
        except (RefreshError, StoreUnavailable) as error:
            notes(request).not_renewed = error
            self._note_failure(error)
        else:
            self.delivery = credentials
            notes(request).renewed = credentials.access_token

    def _note_failure(self, error: RefreshError | StoreUnavailable) -> None:
        if isinstance(error, StoreUnavailable):
            self.failure = error
        elif isinstance(error, RefreshReused | SessionEnded):
            self.refuse_ended(error)
        else:  # with a garbage token, the visitor is anonymous
            self.conflict = isinstance(error, RefreshConflict)

    @sensitive_variables()
    def _read_access_cookie(self) -> AccessClaims | None:
        access_token = cookies.read_cookie(self.request, conf.ACCESS_COOKIE)
        try:
            claims = None if access_token is None else read_claims(access_token)
        except TokenError:
            return None
        return None if claims is None or self._is_of_another(claims) else claims

    def _is_of_another(self, claims: AccessClaims) -> bool:
        """Return whether the refresh cookie is of another session: a late answer put an old token back."""
        try:
            refresh_token = cookies.read_cookie(self.request, conf.REFRESH_COOKIE)
            return str(read_refresh_token(refresh_token, secret_keys()).sid) != claims.sid
        except RefreshMalformed:
            return False

    @property
    def session(self) -> DeviceSession | None:
        self._look()
        return self._session

    @property
    def settled_session(self) -> DeviceSession | None:
        """Return the session if it is known already; look nothing up."""
        return self._session

    def user(self) -> Any:
        self._look()
        return self._user

    async def auser(self) -> Any:
        """Return the same as ``request.user``, also where other code has set that meanwhile."""
        user: Any = self.request.user
        if user is not self.lazy_user:
            return user
        return await sync_to_async(self.user)()

    def is_visitor(self, user: Any) -> bool:
        """Return whether ``user`` is the very object handed out, not one that a backend let in since."""
        return self._user is not None and unwrapped(user) is unwrapped(self._user)

    def identify(self, session: DeviceSession | None, user: Any) -> None:
        """Settle session and user: found by a credential, or just logged in or out."""
        self._known, self._session, self._user = True, session, user

    def _look(self) -> None:
        self.touched = True
        if self._known:
            return
        if self.failure is not None:
            raise self.failure
        try:
            with store_errors():  # Django's own session and user are read here too
                self._find()
        except StoreUnavailable as error:
            self.failure = error
            raise

    def _find(self) -> None:
        if renewal.has_bearer(self.request):
            self.identify(None, AnonymousUser())  # the API authenticates it; nothing here may
        elif self.delivery is not None:
            self._admit(self.delivery.session)
        elif self.held is not None:
            self._admit(self.held)
        elif cookies.has_credentials(self.request):
            self._find_by_cookie()
        else:
            from authx.pages.adoption import find_by_django_login

            find_by_django_login(self)

    @sensitive_variables()
    def _find_by_cookie(self) -> None:
        try:
            claims = self.claims or read_claims(cookies.read_cookie(self.request, conf.ACCESS_COOKIE))
            session = live_session(claims)
        except SessionEnded as error:
            self.refuse_ended(error)
        except TokenError:
            self._find_by_refresh_cookie()
        else:
            record_use(session, claims)
            self._admit(session)

    def _find_by_refresh_cookie(self) -> None:
        """Identify the visitor by the refresh cookie, without spending it, where that is too late or harmful.

        At the admin's logout any genuine one will do, for the admin lets only staff log out. Elsewhere one
        that could be spent, if another process has just withdrawn the key of an access token that had seemed
        valid.
        """
        session = None
        if renewal.is_admin_logout(self.request):
            session = cookie_session(self.request)
        elif self.claims is not None:
            session = refreshable_session(cookies.read_cookie(self.request, conf.REFRESH_COOKIE))
        if session is None or end_of(session):
            self.identify(None, AnonymousUser())
        else:
            self._admit(session)

    def _admit(self, session: DeviceSession) -> None:
        """Identify the visitor by ``session``, once no other login is left in the Django session."""
        request, user, sid = self.request, session.user, str(session.pk)
        has_login, bound = django_session.is_present(request), django_session.bound_to(request)
        if has_login and django_session.lies_on(request) == sid:
            self.identify(session, django_login.own_user(request))
            return
        if bound not in {None, sid} or (has_login and not django_session.belongs_to(request, user)):
            django_session.flush(request)
        elif has_login and bound is None:
            django_session.bind(request, sid)
        self.identify(session, user)

    def refuse_ended(self, error: SessionEnded | RefreshReused) -> None:
        if isinstance(error, RefreshReused):
            self.refuse(EndReason.REUSED, error.sid)
        else:
            self.refuse(error.reason, error.sid, replaced_by=error.replaced_by)

    def refuse(self, reason: str, sid: UUID | None, *, replaced_by: str = "") -> None:
        """Note that the session has ended; flush the Django login that ends with it, but no newer one."""
        self.ended_reason, self.replaced_by = str(reason), replaced_by
        request = self.request
        if django_session.hangs_on(request, sid):
            django_session.flush(request)
        self.identify(None, AnonymousUser())


def unwrapped(user: Any) -> Any:
    """Return the object itself, however many middlewares have wrapped it."""
    while isinstance(user, LazyObject):
        user = user._wrapped
    return user


def visit_of(request: Any) -> Visit | None:
    """Return the visit of a request that came through the middleware, else None."""
    return getattr(getattr(request, "_request", request), "authx_visit", None)
