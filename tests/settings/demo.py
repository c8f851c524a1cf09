"""The demo as it is, but for hashes that cost next to nothing: its tests sign in hundreds of times."""

from demo_project.settings import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
