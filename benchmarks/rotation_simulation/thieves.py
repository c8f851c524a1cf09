"""Thieves with one copy of the jar, each a strategy of its own, beside an owner who comes back."""

from __future__ import annotations

from math import inf

from benchmarks.rotation_simulation.thief import (
    BEFORE,
    RENEWED,
    ROTATED,
    TIME,
    Plan,
    Strategy,
    Thief,
    Wait,
    copied,
)
from benchmarks.rotation_simulation.thieves_alone import copying_again, heir, patient_sitter, sitter

#: A retry after a refusal, in seconds.
TRY_AGAIN = 60.0
#: So soon before the end of something, in seconds.
JUST_BEFORE = 0.5


def nobody(thief: Thief) -> Plan:
    yield Wait()


def at_once(thief: Thief) -> Plan:
    """Presents at once, and again every 15 to 60 minutes."""
    yield from copied(thief)
    while True:
        thief.present()
        yield Wait(thief.now + thief.rng.uniform(900, 3600))


def later(thief: Thief) -> Plan:
    """The same, after sitting on the copy for a while."""
    yield from copied(thief)
    yield Wait(thief.now + thief.history.until * thief.rng.uniform(0, 0.3))
    while True:
        thief.present()
        yield Wait(thief.now + thief.rng.uniform(900, 3600))


def follower(thief: Thief) -> Plan:
    """Goes by ``exp``: presents whenever the access token has run out."""
    yield from copied(thief)
    while True:
        yield Wait(max(thief.fresh_until, thief.now + 1))
        if thief.present() is None:
            yield Wait(thief.now + TRY_AGAIN)


def shadow(thief: Thief) -> Plan:
    """Presents only after the owner has rotated, inside the grace; once more as the grace ends (T1b)."""
    yield from copied(thief)
    while True:
        yield Wait(acts=(ROTATED,))
        ends_at = thief.now + thief.grace - JUST_BEFORE
        yield Wait(thief.rng.uniform(thief.now, ends_at))
        thief.present()
        yield Wait(ends_at)
        thief.present()


def first_in_every_other(thief: Thief) -> Plan:
    """Presents before the owner in one generation, and after the owner in the next."""
    yield from copied(thief)
    while True:
        yield Wait(acts=(BEFORE,))
        thief.present()
        yield Wait(acts=(ROTATED,))
        thief.present()


def usher(thief: Thief) -> Plan:
    """Always presents just before the owner, and never lets the issuer see an access token."""
    yield from copied(thief)
    thief.is_quiet = True
    while True:
        yield Wait(acts=(BEFORE,))
        thief.present()
        yield Wait(thief.fresh_until - JUST_BEFORE)


def skipping(thief: Thief) -> Plan:
    """Presents in every second generation of the owner's only."""
    yield from copied(thief)
    while True:
        yield Wait(acts=(ROTATED,))
        thief.present()
        yield Wait(acts=(ROTATED,))


def last_moment(thief: Thief) -> Plan:
    """Presents each spent token as late as it is good: just before the owner begins the next generation."""
    yield from copied(thief)
    while True:
        yield Wait(acts=(ROTATED,))
        yield Wait(thief.history.server.settings.access_lifetime * 0.8 + thief.now, (BEFORE,))
        thief.present()


def pusher(thief: Thief) -> Plan:
    """Begins the grace anew (T4) just before the owner renews, so that no new generation begins (T1b)."""
    yield from copied(thief)
    thief.is_quiet = True
    while True:
        yield Wait(acts=(ROTATED,))
        spent, rotated_at = thief.newest, thief.now
        thief.present(spent)
        yield Wait(acts=(BEFORE,))
        while thief.now < rotated_at + thief.grace:
            yield Wait(acts=(BEFORE,))
        thief.present(spent)


def night_shift(thief: Thief) -> Plan:
    """Rotates once while the owner is away, lives on late answers, and shadows while the owner is there."""
    yield from copied(thief)
    while True:
        act = yield Wait(max(thief.fresh_until, thief.now + 1), (ROTATED,))
        if act == TIME and thief.history.browser.is_there:
            continue
        spent = thief.newest
        thief.present(spent)
        while act == TIME:
            act = yield Wait(inf if thief.knows_better else max(thief.fresh_until, thief.now + 1), (BEFORE,))
            if act == TIME and not thief.knows_better:
                thief.present(spent)


def gambler(thief: Thief) -> Plan:
    """Does anything at any time, with any token of the last few, seen by the issuer or not."""
    yield from copied(thief)
    rng = thief.rng
    while True:
        lifetime = thief.history.server.settings.access_lifetime
        until = rng.choice([thief.now + rng.uniform(0, thief.grace), thief.fresh_until, thief.now + lifetime])
        yield Wait(max(until, thief.now + 1), rng.choice([(BEFORE,), (RENEWED,), (ROTATED,), ()]))
        thief.is_quiet = rng.random() < 0.5
        thief.present(rng.choice(thief.tokens[-3:]))


THIEVES: dict[str, Strategy] = {
    "nobody": nobody,
    "at once": at_once,
    "later": later,
    "follower": follower,
    "shadow": shadow,
    "first in every other": first_in_every_other,
    "usher": usher,
    "skipping": skipping,
    "last moment": last_moment,
    "pusher": pusher,
    "night shift": night_shift,
    "gambler": gambler,
    "sitter": sitter,
    "patient sitter": patient_sitter,
    "heir": heir,
    "copying again": copying_again,
}
