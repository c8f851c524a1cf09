from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('authx', '0010_django_session'),
    ]

    operations = [
        migrations.AddField(
            model_name='devicesession',
            name='backend',
            field=models.CharField(db_default='', default='', editable=False, max_length=255),
        ),
    ]
