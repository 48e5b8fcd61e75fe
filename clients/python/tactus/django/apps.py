from django.apps import AppConfig


class TactusConfig(AppConfig):
    name = "tactus.django"
    label = "tactus"
    verbose_name = "tactus"
    default_auto_field = "django.db.models.AutoField"
