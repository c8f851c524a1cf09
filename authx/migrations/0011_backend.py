from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('authx', '0009_continuation'),
    ]

    operations = [
        migrations.AddField(
            model_name='devicesession',
            name='backend',
            field=models.CharField(db_default='', default='', editable=False, max_length=255),
        ),
    ]
