"""A login that a full limit refuses: the sessions that may end for it, and the proof to come back with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.conf import secret_keys
from authx.core.login_proof import LIFETIME, LoginProof, read_login_proof, write_login_proof
from authx.core.user_model import username_of
from authx.errors import ChoiceInvalid, LoginProofInvalid, SessionLimitReached
from authx.http.device_cookie import browser_device
from authx.http.request_state import request_state
from authx.logins.events import record_failure
from authx.logins.limit import LOCKOUT, LoginCount, count_login
from authx.logins.lockout import note_lockout
from authx.models import DeviceSession, SessionEvent
from authx.sessions.choosing import spend
from authx.sessions.login_backend import accepts
from authx.sessions.not_before import has_mark_since, opening_moment
from authx.sessions.password_fingerprint import fingerprint, has_fingerprint
from authx.sessions.queries import find_sessions
from authx.sessions.subjects import find_subject, user_of_key
from authx.store import database


@dataclass(frozen=True, slots=True)
class CompleteLogin:
    """A login for which nothing is missing but room: its user, and how it was made."""

    user: Any
    backend: str
    amr: tuple[str, ...]
    #: Whether a password was all that was asked for, so that AUTHX_PASSWORD_LOGIN decides.
    by_password: bool = True
    #: Whether it is to outlive the browser, as far as is known.
    persistent: bool = True
    #: The proof that it was made with; None where it has just been made.
    proof: LoginProof | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What a user may choose from, the least recently used first."""

    sessions: list[DeviceSession]
    #: How many of them must end; one, unless a limit was lowered.
    must_end: int
    #: The text of the login proof; never stored or logged.
    proof: str = field(repr=False)


def browser_holder(request: HttpRequest) -> str:
    """Return who may present a proof that is handed to this browser: whoever has its device cookie."""
    return f"browser:{browser_device(request).id}"


def client_holder(device_id: str) -> str:
    """Return who may present a proof handed to another client: whoever names the same ``device.id``.

    A client that names none is bound to nothing; its proof is worth what the password was, for five minutes.
    """
    return f"client:{device_id}"


@sensitive_variables()
def offer(
    request: HttpRequest,
    login: CompleteLogin,
    error: SessionLimitReached,
    *,
    holder: str,
    now: datetime | None = None,
) -> Offer | None:
    """Return the sessions that may end so that there is room for ``login``; None where none of its user may.

    Its proof is good for five minutes, and one that follows another no longer than that one was. It is an
    event.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    # A view may have opened a session for somebody else, whose devices are no business of this login's user.
    sessions = [one for one in find_sessions(error.choosable) if one.user_id == login.user.pk]
    if not sessions:
        return None
    moment, number = opening_moment()
    earlier, seconds = login.proof, int((now or moment).timestamp())
    proof = LoginProof(
        user=str(login.user.pk),
        database=database.alias(),
        fingerprint=fingerprint(login.user),
        holder=holder,
        backend=login.backend,
        amr=tuple(login.amr),
        by_password=login.by_password,
        not_before_number=number if earlier is None else earlier.not_before_number,
        expires_at=seconds + LIFETIME if earlier is None else earlier.expires_at,
    )
    kind, subject = SessionEvent.Kind.CHOICE_OFFERED, find_subject(login.user)
    record_failure(kind, request, subject, outcome="session_limit")
    text = write_login_proof(proof, secret_keys(), now=seconds)
    return Offer(sessions, error.must_end, text)


class LoginByProof:
    """A context manager: the login that a proof proves, for a block that opens its session and spends it.

    A bad one counts as a failed login: of its user, if it was one of ours, and of the address. If the block
    finds the limit full all the same, the proof is spent too: ``offer`` makes another. It is no generator:
    the frame of one is beyond ``sensitive_variables``, and would be in the report of an error.
    """

    @sensitive_variables()
    def __init__(
        self, request: HttpRequest, text: object, *, holder: str, now: datetime | None = None
    ) -> None:
        """Read the proof; ``now`` is the database's clock, unless given.

        Raises:
            StoreUnavailable: the database cannot be asked.
        """
        self._request, self._holder, self._now = request, holder, now
        self._proof, self._user = _read(text)
        self._subject = None if self._user is None else find_subject(self._user)
        self._counted = LoginCount()

    def __enter__(self) -> CompleteLogin:
        """Judge the proof.

        Raises:
            LoginProofInvalid: it lets nobody in, whatever the cause; or there were too many tries, and then
                ``request_state(request).login_wait`` is the number of seconds to wait, or -1.
            StoreUnavailable: the database cannot be asked.
        """
        self._counted = _count(self._request, self._subject, self._user)
        try:
            return _judged(self._proof, self._user, holder=self._holder, now=self._now)
        except LoginProofInvalid:
            self._record_failure()
            raise
        except BaseException:
            self._counted.give_back()
            raise

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        """Settle the try; spend the proof also where there was no room.

        Raises:
            LoginProofInvalid: there was no room, and another request has spent it first.
        """
        if isinstance(error, LoginProofInvalid):
            self._record_failure()
        elif not isinstance(error, ChoiceInvalid):  # which counts: nobody finds out by trying what there is
            self._counted.give_back()
        if isinstance(error, SessionLimitReached):
            self._spend_unopened()

    def _spend_unopened(self) -> None:
        assert self._proof is not None
        try:
            database.transact(partial(spend, self._proof))
        except LoginProofInvalid:
            self._record_failure()
            raise

    def _record_failure(self) -> None:
        kind = SessionEvent.Kind.LOGIN_FAILED
        record_failure(kind, self._request, self._subject, outcome="proof_invalid")


@sensitive_variables()
def user_of_proof(text: object) -> Any:
    """Return the user whom a login proof names, whatever its age, and used up or not; None for no proof."""
    return _read(text)[1]


@sensitive_variables()
def _read(text: object) -> tuple[LoginProof | None, Any]:
    """Return the proof and its user, as the database has them now; None for what there is not."""
    try:
        proof = read_login_proof(text, secret_keys())
    except LoginProofInvalid:
        return None, None
    if proof.database != database.alias():
        return None, None
    return proof, user_of_key(proof.user)


def _count(request: HttpRequest, subject: str | None, user: Any) -> LoginCount:
    """Count the try as one to sign in; a lockout holds for it too.

    Raises:
        LoginProofInvalid: there were too many.
    """
    state = request_state(request)
    if user is not None:
        note_lockout(request, {"username": username_of(user)})
    if state.is_locked_out:
        counted = LoginCount(wait=state.login_wait, limit=LOCKOUT)
    else:
        counted = count_login(request, names=(), subjects=() if subject is None else (subject,))
    if counted.wait:
        state.login_wait = counted.wait
        record_failure(SessionEvent.Kind.LOGIN_LIMITED, request, subject, outcome=counted.limit)
        raise LoginProofInvalid("too many tries")
    return counted


def _judged(proof: LoginProof | None, user: Any, *, holder: str, now: datetime | None) -> CompleteLogin:
    if proof is None or user is None:
        raise LoginProofInvalid("the login proof is not one of ours, or its user is gone")
    if proof.holder != holder:
        raise LoginProofInvalid("the login proof was handed to somebody else")
    if not _is_current(proof, user):
        raise LoginProofInvalid("the user may not sign in with this any more")
    if (now or database.database_now()).timestamp() >= proof.expires_at:
        raise LoginProofInvalid("the login proof is too old")
    user.backend = proof.backend
    return CompleteLogin(user, proof.backend, proof.amr, proof.by_password, proof=proof)


def _is_current(proof: LoginProof, user: Any) -> bool:
    """Return whether the user may sign in still, and nothing has ended what was proved before."""
    if not accepts(proof.backend, user) or not has_fingerprint(user, proof.fingerprint):
        return False
    subject = find_subject(user)
    return subject is not None and not has_mark_since(subject, proof.not_before_number)
