"""The demo as it is, but for hashes that cost next to nothing: its tests sign in hundreds of times."""

import json
import os
from datetime import timedelta

from demo_project.settings import *

#: What a test that starts the demo wants of it beside.
if "DEMO_LIMITS" in os.environ:
    AUTHX_SESSION_LIMITS = json.loads(os.environ["DEMO_LIMITS"])
if "DEMO_LEEWAY" in os.environ:  # seconds
    AUTHX_CLOCK_LEEWAY = timedelta(seconds=int(os.environ["DEMO_LEEWAY"]))
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
