"""A site whose sockets are closed soon after the endings cannot be read any more."""

from datetime import timedelta

from tests.settings.base import *

AUTHX_SOCKET_BLIND = timedelta(seconds=3)
