"""Every view in a transaction: a verdict must commit even though its request fails."""

from .base import *

DATABASES["default"]["ATOMIC_REQUESTS"] = True
