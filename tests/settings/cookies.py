"""The demo with cookies that go further, or less far, than by default; the environment says how far.

SITE_SAMESITE="None" is a site whose pages others show in frames, as our documentation describes it:
SITE_FRAMED_BY names those others, SITE_PARTITIONED=1 keeps a jar for each. SITE_NAME is in the names of all
its cookies.
"""

import os

from tests.settings.demo import *

AUTHX_COOKIE_SAMESITE = SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = os.environ["SITE_SAMESITE"]
FRAMED_BY = os.environ.get("SITE_FRAMED_BY", "")
MIDDLEWARE = [name for name in MIDDLEWARE if "XFrameOptions" not in name]

if AUTHX_COOKIE_SAMESITE == "None":
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    MIDDLEWARE = ["tests.site.framing.may_be_framed", *MIDDLEWARE]
else:
    SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"  # as by default
if os.environ.get("SITE_PARTITIONED") == "1":
    AUTHX_COOKIE_PARTITIONED = True
    MIDDLEWARE = ["authx.pages.partitioned.PartitionedCookiesMiddleware", *MIDDLEWARE]

if name := os.environ.get("SITE_NAME"):
    AUTHX_ACCESS_COOKIE = f"__Host-{name}_access"
    AUTHX_REFRESH_COOKIE = f"__Host-{name}_refresh"
    AUTHX_DEVICE_COOKIE = f"__Host-{name}_device"
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{name}_session", f"{name}_csrf"
