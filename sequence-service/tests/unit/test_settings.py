import pytest

from chassis.runtime.config import ConfigError
from sequence_service.settings import Settings


def test_sdx_variables_compose_the_database_url():
    settings = Settings.load({"SDX_SEQUENCE_POSTGRES_HOST": "db", "SDX_SEQUENCE_POSTGRES_PASSWORD": "p@ss/word"})
    assert settings.database_url == "postgresql://sdx:p%40ss%2Fword@db:5432/sdx"


def test_database_url_takes_precedence_over_sdx_variables():
    settings = Settings.load({"DATABASE_URL": "postgresql://a@b/c", "SDX_SEQUENCE_POSTGRES_HOST": "db"})
    assert settings.database_url == "postgresql://a@b/c"


def test_missing_database_settings_raise_an_error_that_names_the_variable():
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        Settings.load({})
