import pytest

from chassis.runtime.config import ConfigError
from sequence_service.settings import Settings


def test_the_names_of_the_seed_make_up_the_database_url():
    settings = Settings.load({"SDX_SEQUENCE_POSTGRES_HOST": "db", "SDX_SEQUENCE_POSTGRES_PASSWORD": "p@ss/word"})
    assert settings.database_url == "postgresql://sdx:p%40ss%2Fword@db:5432/sdx"


def test_database_url_comes_first():
    settings = Settings.load({"DATABASE_URL": "postgresql://a@b/c", "SDX_SEQUENCE_POSTGRES_HOST": "db"})
    assert settings.database_url == "postgresql://a@b/c"


def test_neither_is_an_error_that_names_the_variable():
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        Settings.load({})
