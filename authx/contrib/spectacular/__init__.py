"""drf-spectacular beside authx: our authentication classes and routes in the site's OpenAPI schema.

Found by itself where ``drf_spectacular`` is installed; a service without our apps imports it in its URLconf.
``authx.contrib.spectacular.oauth.add_oauth_paths`` is a hook for what is no DRF view.
"""

from authx.contrib.spectacular import schemes, views  # noqa: F401 - drf-spectacular collects subclasses
