"""The other process: it opens device sessions, and ends them while the server holds their sockets."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.peers.process import Here

#: Device sessions of one user.
PER_USER = 5


class Issuer(Here):
    """Opens sessions and ends them."""

    def open(self, number: int) -> list[tuple[str, str]]:
        """The ids and access tokens of so many new sessions, each confirmed as one in use is."""
        from django.contrib.auth import get_user_model
        from django.db.models import Max

        from authx.models import DeviceSession, NotBeforeMark
        from authx.sessions.credentials import credentials_for
        from authx.store.database import database_now
        from benchmarks.peers.many import live_session

        model, now = get_user_model(), database_now()
        start = model.objects.count()
        users = [model(username=f"user{start + n}", password="!") for n in range(-(-number // PER_USER))]
        users = model.objects.bulk_create(users)
        sessions = [live_session(users[n // PER_USER], now) for n in range(number)]
        newest = NotBeforeMark.objects.aggregate(newest=Max("number"))["newest"] or 0
        for session in sessions:  # opened after everybody was ended, if that has happened
            session.not_before_number = newest
        DeviceSession.objects.bulk_create(sessions)
        return [(str(one.pk), credentials_for(one, generation=1, now=now).access_token) for one in sessions]

    def end(self, planned: Sequence[tuple[str, float]]) -> list[tuple[float, float]]:
        """End each session at its monotonic second; when the call began, and when it returned."""
        from authx.models import DeviceSession
        from authx.sessions import end_session

        times = []
        for sid, at in planned:
            time.sleep(max(0.0, at - time.monotonic()))
            began = time.monotonic()
            end_session(DeviceSession(pk=sid), "kicked")
            times.append((began, time.monotonic()))
        return times

    def end_everyone(self) -> tuple[float, float]:
        """When the call began, and when it returned."""
        from authx.sessions import end_everyone

        began = time.monotonic()
        end_everyone("kicked")
        return began, time.monotonic()
