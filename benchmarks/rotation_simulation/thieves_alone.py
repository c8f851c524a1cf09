"""Thieves whom no owner meets, and one who copies the jar again and again."""

from __future__ import annotations

from benchmarks.rotation_simulation.thief import ROTATED, Plan, Thief, Wait, copied


def sitter(thief: Thief) -> Plan:
    """Owner gone for good: rotates once, then presents the one spent token all the time."""
    yield from _sit(thief, all_the_time=True)


def patient_sitter(thief: Thief) -> Plan:
    """The same, but presents it only when the access token has run out."""
    yield from _sit(thief, all_the_time=False)


def _sit(thief: Thief, *, all_the_time: bool) -> Plan:
    """Knows the rule of T4, and stops at the last moment."""
    yield from copied(thief)
    thief.history.browser.is_gone = True
    thief.is_quiet = True
    yield Wait(thief.now + 2 * thief.grace)  # so that it rotates
    spent = thief.newest
    while not thief.knows_better:
        thief.present(spent)
        pause = thief.rng.uniform(1, thief.grace / 3)
        yield Wait(thief.now + pause if all_the_time else thief.fresh_until)


def heir(thief: Thief) -> Plan:
    """Uses the copy after the owner has gone for good."""
    yield from copied(thief)
    thief.history.browser.is_gone = True
    while True:
        thief.present()
        yield Wait(max(thief.fresh_until, thief.now + 1))


def copying_again(thief: Thief) -> Plan:
    """The shadow, with a fresh copy of the jar in every second generation."""
    yield from copied(thief)
    while True:
        yield Wait(acts=(ROTATED,))
        thief.present()
        yield Wait(acts=(ROTATED,))
        yield Wait(thief.now + 2 * thief.grace)
        thief.copy()
