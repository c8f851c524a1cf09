"""Our pages in frames: nobody clicks on what they cannot see, unless the site says who may show them."""

from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.utils.decorators import decorator_from_middleware

#: Sets X-Frame-Options where a site has no XFrameOptionsMiddleware, as one has not whose pages are shown in
#: frames. Its Content-Security-Policy with ``frame-ancestors`` outdoes the header (CSP3 §6.4.2).
unframed = decorator_from_middleware(XFrameOptionsMiddleware)
