"""A site of its own whose API has a schema by drf-spectacular, in which authx describes itself."""

from .base import *

INSTALLED_APPS += ["drf_spectacular"]
ROOT_URLCONF = "tests.openapi.urls"
REST_FRAMEWORK = {
    **REST_FRAMEWORK,
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": [],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "authx.contrib.spectacular.oauth.add_oauth_paths",
    ],
}
AUTHX_ISSUER = "https://testserver"
AUTHX_SCOPES = {"notes:read": "Read your notes", "notes:write": "Write them"}
AUTHX_RESOURCES = {"https://testserver/notes/": ["notes:read", "notes:write"]}
