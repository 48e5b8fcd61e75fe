"""No table is made: this is for the permissions."""
from django.db import migrations, models


def listed(name):
    return migrations.CreateModel(
        name=name,
        fields=[("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))],
        options={"managed": False, "default_permissions": ("view",)},
    )


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [listed("Schedule"), listed("Run")]
