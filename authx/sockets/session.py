"""``scope["authx"]``: the device session behind a socket, for the app."""

from __future__ import annotations

from typing import Any

from django.views.decorators.debug import sensitive_variables

from authx import clocks
from authx.core.claims import AccessClaims
from authx.errors import AuthxError, StoreUnavailable, TokenError, TokenMalformed
from authx.sockets import asking
from authx.sockets.asking import Admitted
from authx.sockets.clients import Clients
from authx.sockets.connection import Connection
from authx.sockets.credentials import Credential, Kind
from authx.sockets.frames import ENDED, Closing, closing_for, is_reason, not_renewed, read_renewal, renewed
from authx.sockets.refusal import refusal_of
from authx.sockets.watching import Watcher


class SocketSession:
    """The session of an open socket. It holds no token."""

    def __init__(
        self,
        connection: Connection,
        watcher: Watcher,
        claims: AccessClaims,
        *,
        origin: str = "",
        clients: Clients | None = None,
    ) -> None:
        """Watch over the session from now on; whether it is live has still to be asked.

        ``origin`` is that of the handshake: a ticket that renews the socket must be made for it too.
        ``clients`` are whom the door lets in beside logins.

        Raises:
            TooManySockets: it has as many as it may have.
            StoreUnavailable: the endings cannot be read.
        """
        self._connection, self._watcher = connection, watcher
        self._origin, self._clients = origin, clients
        self._is_open = False
        self._watch = watcher.watch(claims, self._end)

    def __repr__(self) -> str:
        return f"<SocketSession: {self.sid}>"

    @property
    def claims(self) -> AccessClaims:
        """Return the claims of the token that was accepted last: at the handshake, or by a renewal."""
        return self._watch.claims

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the scopes of that token: what a client may do, which may have become less."""
        return self.claims.scopes

    @property
    def sid(self) -> str:
        """Return the id of the device session."""
        return self.claims.sid

    async def auser(self) -> Any:
        """Return the user as read now; ``scope["user"]`` is the one of the handshake.

        Raises:
            SessionEnded: it is over, and the socket closes.
            StoreUnavailable: the store cannot be asked.
        """
        try:
            return await asking.user_of(self.claims)
        except TokenError as error:
            self._watch.end(error)
            raise

    async def close(self, reason: str) -> None:
        """Close the socket as an ended session does (4401); ``reason`` is a machine word.

        Raises:
            ValueError: it is not one, of at most 32 small letters, digits and ``_``.
        """
        if not is_reason(reason):
            raise ValueError(f"not a machine word: {reason!r}")
        self._connection.end(Closing(ENDED, reason))

    @sensitive_variables()
    async def renew(self, access_token: str) -> int:
        """Let the socket live as long as a newer token of its session; return for how many seconds.

        Raises:
            TokenError: it is of no use here, or the session has ended, and the socket closes.
            StoreUnavailable: the store cannot be asked; the socket goes on as it was.
        """
        return await self.renew_with(Credential(access_token))

    @sensitive_variables()
    async def renew_with(self, credential: Credential) -> int:
        """Do what ``renew`` does, with any kind of credential."""
        self._demand_no_end()
        try:
            claimed = await asking.read(credential, self._clients)
            self._demand_successor(claimed.claims)
            self._watcher.watch_key(self._watch, claimed.claims.kid)  # before asking, as at the handshake
            admitted = await asking.admit(claimed)
        except StoreUnavailable:
            raise
        except AuthxError as error:
            self._watch.end(error)
            raise
        self._demand_no_end()
        self._watcher.renew(self._watch, admitted.claims)
        return max(0, round(admitted.claims.exp - clocks.time()))

    @sensitive_variables()
    async def renew_by_frame(self, text: str) -> str | None:
        """Renew with what a frame of ours holds; return the answer, None where there is none but a close."""
        try:
            return renewed(await self.renew_with(_credential_in(text, self._origin)))
        except StoreUnavailable as error:
            return None if self._watch.error else not_renewed(error)
        except AuthxError as error:
            self._watch.end(error)
            return None

    def admit(self, admitted: Admitted) -> None:
        """Take what was found when the session was asked about; from now on its end closes the socket.

        Raises:
            AuthxError: it has ended meanwhile.
        """
        self._demand_no_end()
        if admitted.claims is not self.claims:  # those of a ticket are known only when it has been taken
            self._watcher.renew(self._watch, admitted.claims)
        self._is_open = True

    def forget(self) -> None:
        """Watch over it no longer: its client has gone, or its app."""
        self._watcher.forget(self._watch)
        self._watch.let_go()

    def _end(self, error: AuthxError) -> None:
        self._watcher.forget(self._watch)
        if self._is_open:  # else the door refuses it
            self._connection.end(closing_for(error), refusal_of(error))

    def _demand_no_end(self) -> None:
        if self._watch.error is not None:
            raise self._watch.error

    def _demand_successor(self, claims: AccessClaims) -> None:
        """Demand a token of the same session, user and client, and of no older generation."""
        old = self.claims
        if (claims.sid, claims.sub) != (old.sid, old.sub):
            raise TokenMalformed("the token is of another session")
        if claims.is_delegated is not old.is_delegated or (
            claims.is_delegated and claims.client_id != old.client_id
        ):
            raise TokenMalformed("the token is another client's")
        if claims.gen is not None and claims.gen < (old.gen or 0):
            raise TokenMalformed("the token is of an older generation")


def _credential_in(text: str, origin: str) -> Credential:
    """Return the one credential of a renewal.

    Raises:
        TokenMalformed: there is none, or more than one.
    """
    try:
        members = read_renewal(text)
    except ValueError:
        raise TokenMalformed("the frame is not a JSON object") from None
    found = [Credential(members[kind.value], kind, origin=origin) for kind in Kind if kind.value in members]
    if len(found) != 1 or not isinstance(found[0].text, str):
        raise TokenMalformed("the frame holds not one token")
    return found[0]
