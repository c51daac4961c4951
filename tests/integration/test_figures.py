"""Every figure of CONTRACT 7 on both databases, against a model that knows no SQL, over random estates."""

import random

import pytest
from figures_checks import differences, play
from mirror import Mirror

from syncer.views import verify

ESTATES_OF_ONE_DATABASE = 15


@pytest.mark.parametrize("seed", range(10))
def test_the_figures_of_random_estates_are_the_models(mirror: Mirror, seed: int) -> None:
    """300 estates, half of them on each database; `make proof` takes more."""
    number = seed if mirror.engine.dialect.name == "sqlite" else seed + 1000
    model = play(mirror, random.Random(number), ESTATES_OF_ONE_DATABASE)
    with mirror.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            zone = ("UTC", "Europe/Berlin", "America/New_York")[seed % 3]
            connection.exec_driver_sql(f"SET LOCAL TimeZone = '{zone}'")

        assert [] == differences(connection, model)
    assert verify.verify(mirror.engine).holds
