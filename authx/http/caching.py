"""What a response of ours says to caches: nothing is kept, whatever the view has said."""

from __future__ import annotations

import re

from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers

#: A directive and its argument, which may be quoted and then hold commas (RFC 9111 §5.2).
_DIRECTIVE = re.compile(r'([^\s,="]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?')

_OURS = "private", "no-store"

#: What may stand beside ours, for it allows nothing. Any other may allow something: ``must-understand`` has
#: caches ignore ``no-store`` (RFC 9111 §5.2.2.3).
_HARMLESS = {
    *_OURS,
    "no-cache",
    "no-transform",
    "must-revalidate",
    "proxy-revalidate",
    "max-age=0",
    "s-maxage=0",
}

#: Headers that some caches believe before Cache-Control; so do those that end in it, such as
#: CDN-Cache-Control (RFC 9213).
_STRONGER = {"surrogate-control", "edge-control", "x-accel-expires"}

_LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"


def never_cache(response: HttpResponseBase) -> None:
    """Keep a response with our cookies out of every cache; what the view has said stays where it agrees."""
    theirs = [directive for directive in _directives(response) if directive in _HARMLESS]
    response["Cache-Control"] = ", ".join(dict.fromkeys([*theirs, *_OURS]))
    _take_out_stronger(response)
    if response.has_header("Expires"):
        response["Expires"] = _LONG_AGO
    patch_vary_headers(response, ["Cookie"])


def keep_private(response: HttpResponseBase) -> None:
    """Keep a response that is about its visitor out of shared caches; a browser may keep it."""
    directives = _directives(response)
    if "no-store" not in directives or "must-understand" in directives:
        patch_cache_control(response, private=True)
    _take_out_stronger(response)


def _directives(response: HttpResponseBase) -> list[str]:
    """Return each directive with its argument, in lower case; quotes stay."""
    found = _DIRECTIVE.findall(response.get("Cache-Control", ""))
    return [f"{name}={argument}".rstrip("=").lower() for name, argument in found]


def _take_out_stronger(response: HttpResponseBase) -> None:
    for name in [name for name, _value in response.items() if _is_stronger(name.lower())]:
        del response[name]


def _is_stronger(name: str) -> bool:
    return name in _STRONGER or name.endswith("-cache-control")
