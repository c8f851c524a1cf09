"""A site whose sockets are closed soon after the endings cannot be read any more.

AUTHX_TEST_BLIND says after how many seconds; 10, the default of sites, is the long form.
"""

import os
from datetime import timedelta

from tests.settings.base import *

AUTHX_SOCKET_BLIND = timedelta(seconds=float(os.environ.get("AUTHX_TEST_BLIND", "3")))
