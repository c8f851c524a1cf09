from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("authx", "0002_endedsession"),
    ]

    operations = [
        migrations.CreateModel(
            name="ServiceClient",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("client_id", models.CharField(max_length=64, unique=True, verbose_name="client id")),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                ("secret_hash", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(verbose_name="created")),
                ("disabled_at", models.DateTimeField(null=True, verbose_name="disabled")),
            ],
            options={
                "verbose_name": "service client",
                "verbose_name_plural": "service clients",
                "ordering": ["name", "client_id"],
                "default_permissions": ("add", "change", "view"),
            },
        ),
    ]
