from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("authx", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="EndedSession",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("sid", models.CharField(max_length=36)),
                ("reason", models.CharField(max_length=32)),
                ("at", models.DateTimeField(db_index=True)),
            ],
            options={
                "verbose_name": "ended session",
                "verbose_name_plural": "ended sessions",
                "default_permissions": (),
            },
        ),
    ]
