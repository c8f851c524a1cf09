import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_project.settings")

# Before whitenoise, whose responses are synchronous streams: Django warns of those under ASGI.
django_app = ASGIStaticFilesHandler(get_asgi_application())

from authx.sockets import live_notice  # noqa: E402

application = live_notice(django_app)
