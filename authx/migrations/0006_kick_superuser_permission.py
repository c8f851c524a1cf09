from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("authx", "0005_notbeforemark"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="devicesession",
            options={
                "ordering": ["-created_at"],
                "permissions": [
                    ("kick_devicesession", "Can kick out device sessions"),
                    ("kick_everywhere_devicesession", "Can kick users out everywhere"),
                    ("kick_superuser_devicesession", "Can kick out superusers"),
                ],
                "verbose_name": "device session",
                "verbose_name_plural": "device sessions",
            },
        ),
    ]
