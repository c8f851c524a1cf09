import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("authx", "0004_signingkey"),
    ]

    operations = [
        migrations.AddField(
            model_name="devicesession",
            name="era",
            field=models.PositiveBigIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.RenameField(model_name="endedsession", old_name="sid", new_name="name"),
        migrations.AlterField(
            model_name="endedsession",
            name="name",
            field=models.CharField(max_length=256),
        ),
        migrations.RenameField(model_name="endedsession", old_name="reason", new_name="told"),
        migrations.AlterField(
            model_name="endedsession",
            name="told",
            field=models.CharField(max_length=64),
        ),
        migrations.CreateModel(
            name="NotBeforeMark",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("subject", models.CharField(blank=True, max_length=255)),
                ("reason", models.CharField(max_length=32)),
                ("at", models.DateTimeField()),
                ("note", models.CharField(blank=True, max_length=255)),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "not-before mark",
                "verbose_name_plural": "not-before marks",
                "default_permissions": (),
                "indexes": [models.Index(fields=["subject", "number"], name="authx_mark_subject")],
            },
        ),
    ]
