"""The door: an ASGI app of websockets, opened to live device sessions alone, and closed when they end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.views.decorators.debug import sensitive_variables

from authx import metrics
from authx.errors import AuthxError, CredentialMissing
from authx.sockets import asking
from authx.sockets.clients import Clients, clients_of
from authx.sockets.connection import Connection
from authx.sockets.credentials import names_token_in_query, read_credential
from authx.sockets.handshake import Scope, without_credentials
from authx.sockets.refusal import Receive, Send, refusal_of, send_refusal
from authx.sockets.server_logs import hide_credentials
from authx.sockets.session import SocketSession

App = Callable[[Any, Any, Any], Awaitable[Any]]


def authenticated(
    app: App,
    *,
    public: bool = False,
    frames: bool = True,
    resource: str | Collection[str] = (),
    scope: str | Collection[str] = (),
) -> Door:
    """Return ``app`` behind the door: it sees ``scope["user"]`` and ``scope["authx"]``, and no credential.

    With ``public``, a client without a credential gets in too, as nobody: ``scope["authx"]`` is None. A bad
    credential is refused all the same. Without ``frames`` every frame is the app's, whose own protocol renews
    by ``scope["authx"].renew``.

    With ``resource`` and ``scope``, the clients of OAuth get in too, by header or subprotocol, whose token is
    for that resource, or one of several, and has all of these scopes. ``scope["authx"].claims`` tells them
    from logins, by ``is_delegated``.

    Raises:
        ValueError: one of the two is there without the other, or is no such thing.
    """
    hide_credentials()
    return Door(app, public=public, frames=frames, clients=clients_of(resource, scope))


class Door:
    """What ``authenticated`` returns. Scopes of other types than websockets pass through untouched."""

    def __init__(self, app: App, *, public: bool, frames: bool, clients: Clients | None = None) -> None:
        #: What stands behind the door: the system checks look at it.
        self.app = app
        self._public, self._frames, self._clients = public, frames, clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        connection = Connection(scope, receive, send)
        try:
            session, user = await self._admit(scope, connection)
        except AuthxError as error:
            metrics.REFUSALS.count(door="sockets", code=error.code)
            await receive()  # that somebody connects
            with suppress(Exception):  # who may be gone already, of which servers complain
                await send_refusal(scope, send, refusal_of(error))
            return
        # In the place of the server's: what reports errors of the app shows the variables of this frame too.
        scope = {**without_credentials(scope), "user": user, "authx": session}
        try:
            await self.app(scope, connection.receive, connection.send)
        finally:
            if session is not None:
                session.forget()
            await connection.closed()

    @sensitive_variables()
    async def _admit(self, scope: Scope, connection: Connection) -> tuple[SocketSession | None, Any]:
        """Return the session and the user of a handshake: watched first, asked about then.

        Raises:
            AuthxError: it is refused.
        """
        credential = read_credential(scope)
        if credential is None and self._public:
            return None, _nobody()
        if credential is None:
            raise CredentialMissing(in_query=names_token_in_query(scope))
        claimed = await asking.read(credential, self._clients)
        session = SocketSession(
            connection, asking.watcher(), claimed.claims, origin=credential.origin, clients=self._clients
        )
        try:
            session.admit(admitted := await asking.admit(claimed))
        except BaseException:
            session.forget()
            raise
        connection.on_gone = session.forget
        if self._frames:
            connection.renew = session.renew_by_frame
        return session, admitted.user


def _nobody() -> Any:
    """Return Django's anonymous user; None at a service that has no users."""
    if not apps.is_installed("django.contrib.auth"):
        return None
    from django.contrib.auth.models import AnonymousUser

    return AnonymousUser()
