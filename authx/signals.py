"""The signals of authx, sent after the commit of what they announce. Receivers cannot undo it.

``device_session_opened``: ``session``, ``user``, ``request`` (or None), ``is_new``: whether the user has had
sessions before, and none on this device; an unconfirmed one that was signed out for them does not count. Of
a client's session too, which has a ``client_id`` and is never new; where a service acts for itself, ``user``
is None.
``device_session_continued``: ``session``, ``before``. A step-up, or the device's own password change, has
opened ``session`` in the place of ``before``: it is no login and no new device.
``device_session_ended``: ``session``, ``reason`` (machine word), ``by`` (a user, or None).
``refresh_reused``: ``session``; sent beside ``device_session_ended`` when the reason is ``reused``.
``session_flagged``: ``session``, ``alarm`` (``refresh_reused``, ``refresh_rate``, ``split_context``,
``new_country``, ``copied``, ``late_replay``, ``state_rollback``).
``password_changed``: ``user``, who has been saved with a new password, by whomever.
``notice``: ``notice``, an ``authx.notices.Notice``: what a user should be told about their account, once an
hour for each kind and device. It pickles: a task queue can carry it.
"""

from django.dispatch import Signal

device_session_opened = Signal()
device_session_continued = Signal()
device_session_ended = Signal()
refresh_reused = Signal()
session_flagged = Signal()
password_changed = Signal()
notice = Signal()
