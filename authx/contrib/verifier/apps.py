"""The app of a verify-only service: no models, no signals, nothing but checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register


class VerifierConfig(AppConfig):
    name = "authx.contrib.verifier"
    label = "authx_verifier"
    verbose_name = "authx, verify-only"

    def ready(self) -> None:
        from authx import metrics
        from authx.apps import describe_for_spectacular
        from authx.checks import check_settings
        from authx.checks.authentication import check_bearer_order
        from authx.checks.delegated_views import check_delegated_views
        from authx.checks.sockets import check_sockets, check_sockets_in_production
        from authx.checks.stores import check_store
        from authx.checks.verifier import check_verifier

        checks = check_settings, check_sockets, check_store, check_verifier, check_delegated_views
        for check in (*checks, check_bearer_order):
            register(check, Tags.security)
        register(check_sockets_in_production, Tags.security, deploy=True)
        describe_for_spectacular()
        metrics.begin()
