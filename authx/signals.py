"""The signals of authx, sent after the commit of what they announce. Receivers cannot undo it.

``device_session_opened``: ``session``, ``user``, ``request`` (or None). Of a client's session too, which has
a ``client_id``; where a service acts for itself, ``user`` is None.
``device_session_continued``: ``session``, ``before``. A step-up, or the device's own password change, has
opened ``session`` in the place of ``before``: it is no login and no new device.
``device_session_ended``: ``session``, ``reason`` (machine word), ``by`` (a user, or None).
``refresh_reused``: ``session``; sent beside ``device_session_ended`` when the reason is ``reused``.
``session_flagged``: ``session``, ``alarm`` (``refresh_reused``, ``refresh_rate``, ``split_context``,
``new_country``, ``copied``, ``late_replay``, ``state_rollback``).
"""

from django.dispatch import Signal

device_session_opened = Signal()
device_session_continued = Signal()
device_session_ended = Signal()
refresh_reused = Signal()
session_flagged = Signal()
