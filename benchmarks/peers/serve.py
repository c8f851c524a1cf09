"""One contestant's site as ``wsgi`` and ``asgi``: what a server of its own imports."""

import os

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.peers.settings"
wsgi, asgi = get_wsgi_application(), get_asgi_application()
