"""How often a password may be tried: per account, per address, and per browser of the account's owner."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from django.http import HttpRequest

from authx.conf import conf
from authx.core.account_name import fold_account_name
from authx.core.rates import Rate
from authx.http.client_address import client_network, is_behind_unknown_proxy
from authx.http.device_cookie import login_nonce
from authx.store.counters import Count, count, is_first

logger = logging.getLogger("authx")

#: What a limit counts by, as events name it.
ACCOUNT, ADDRESS, DEVICE = "account", "address", "device"
#: Another package refuses (``authx.logins.lockout``); nothing is counted here.
LOCKOUT = "lockout"


@dataclass(frozen=True, slots=True)
class LoginCount:
    """One try of a password: counted for every limit that applies, or refused by one that is reached."""

    counts: tuple[Count, ...] = ()
    #: Seconds until the next try, -1 if that is unknown; 0 where this one may go on.
    wait: int = 0
    #: Which limit refuses: ``account``, ``address``, ``device`` or ``lockout``; ``""`` where none does.
    limit: str = ""

    def give_back(self) -> None:
        """Undo the counting of this try: the password was right."""
        for counted in self.counts:
            counted.give_back()


def count_login(
    request: HttpRequest | None,
    *,
    names: Collection[str],
    subjects: Collection[str | None],
    now: float | None = None,
) -> LoginCount:
    """Count a try for the accounts that ``names`` find; ``subjects`` has None for a name that finds none.

    All spellings of a name count as one, so that a limit is reached after the same number of tries whether or
    not there is such an account; the number of counters is the same too. A browser that this user has signed
    in from has a counter of its own: strangers cannot lock it out.
    """
    nonce = _nonce(request, set(subjects))
    if nonce is not None:
        return _count([(DEVICE, nonce, conf.LOGIN_RATE)], now)
    folded = list(dict.fromkeys(fold_account_name(name) for name in names))
    found = list(dict.fromkeys(subject for subject in subjects if subject is not None))
    keys = [f"name:{name}" for name in folded] + [f"subject:{subject}" for subject in found]
    if not found:
        keys += [f"nobody:{name}" for name in folded[:1]]
    tries: list[tuple[str, str, Rate | None]] = [(ACCOUNT, key, conf.LOGIN_RATE) for key in keys]
    if request is not None and (network := _limited_network(request)):
        tries.append((ADDRESS, network, conf.ADDRESS_RATE))
    return _count(tries, now)


def _nonce(request: HttpRequest | None, subjects: set[str | None]) -> str | None:
    """Return the nonce of this browser's last login of the one user whom all names find; None without one."""
    if request is None or len(subjects) != 1:
        return None
    (subject,) = subjects
    return None if subject is None else login_nonce(request, subject)


def _count(tries: list[tuple[str, str, Rate | None]], now: float | None) -> LoginCount:
    counts = [(limit, count(f"login-{limit}", key, rate, now=now)) for limit, key, rate in tries]
    total = LoginCount(tuple(counted for _limit, counted in counts))
    limit, longest = max(counts, default=(ACCOUNT, Count()), key=lambda pair: pair[1].wait)
    if not longest.wait:
        return total
    total.give_back()  # a try that has to wait is not made
    return LoginCount(wait=longest.wait, limit=limit)


def _limited_network(request: HttpRequest) -> str:
    """Return the network whose tries are counted together; ``""`` where unknown, or shared by all clients."""
    if not is_behind_unknown_proxy(request):
        return client_network(request)
    if is_first("unknown-proxy", "", 3600):
        logger.warning(
            "A proxy at %s says for whom it asks, and AUTHX_TRUSTED_PROXIES is 0: failed logins are not "
            "limited by address. Set it to the number of your proxies.",
            request.META.get("REMOTE_ADDR", ""),
            extra={"event": "proxy_unknown"},
        )
    return ""
