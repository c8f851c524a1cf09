"""For tests in the manner of ``unittest``: what ``authx.testing`` offers, as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authx.sessions import Credentials
from authx.testing.logins import login_device, token_for
from authx.testing.moving_clock import Clock, clock

if TYPE_CHECKING:
    from django.test import SimpleTestCase as _TestCase
else:
    _TestCase = object


class DeviceSessionTestMixin(_TestCase):
    """Stands before ``TestCase`` or ``APITestCase`` among the bases of a test."""

    def login_device(self, user: Any, client: Any = None, **how: Any) -> Credentials:
        """Sign ``user`` in at ``client``, the test's own unless given; see ``authx.testing.login_device``."""
        return login_device(self.client if client is None else client, user, **how)

    def token_for(self, user: Any, **how: Any) -> str:
        """Return an access token of a new session of ``user``."""
        return token_for(user, **how)

    def moving_clock(self) -> Clock:
        """Return a clock that this test may move; it is put back when the test is over."""
        return self.enterContext(clock())
