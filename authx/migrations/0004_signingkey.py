import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("authx", "0003_serviceclient"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SigningKey",
            fields=[
                (
                    "number",
                    models.PositiveIntegerField(primary_key=True, serialize=False, verbose_name="number"),
                ),
                ("kid", models.CharField(max_length=64, unique=True, verbose_name="key id")),
                ("alg", models.CharField(max_length=16, verbose_name="algorithm")),
                ("public_key", models.TextField(verbose_name="public key")),
                ("encrypted_private_key", models.TextField(editable=False)),
                ("created_at", models.DateTimeField(verbose_name="published")),
                ("signs_at", models.DateTimeField(verbose_name="signs from")),
                ("withdrawn_at", models.DateTimeField(null=True, verbose_name="withdrawn")),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="made by",
                    ),
                ),
                (
                    "withdrawn_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="withdrawn by",
                    ),
                ),
            ],
            options={
                "verbose_name": "signing key",
                "verbose_name_plural": "signing keys",
                "ordering": ["-number"],
                "permissions": [("manage_signing_keys", "Can rotate and withdraw signing keys")],
                "default_permissions": ("view",),
            },
        ),
    ]
