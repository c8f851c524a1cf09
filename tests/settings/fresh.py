"""A site that has just been made: it has not said yet where a login leads."""

from .base import *

del globals()["LOGIN_REDIRECT_URL"]
