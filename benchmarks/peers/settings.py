"""The settings module of a contestant's process; who and where stands in its environment.

A module, as a site's are, and not ``settings.configure``, which makes every setting that is not set dearer.
"""

import json
import os

from benchmarks.peers.contestants import BY_NAME, Place
from benchmarks.peers.setup import VARIABLE, settings_of

told = json.loads(os.environ[VARIABLE])
globals().update(settings_of(BY_NAME[told["name"]], Place(**told["place"])))
