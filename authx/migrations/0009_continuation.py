from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("authx", "0008_credentials_changed"),
    ]

    operations = [
        migrations.AddField(
            model_name="devicesession",
            name="successor",
            field=models.UUIDField(editable=False, null=True, verbose_name="continued as"),
        ),
    ]
