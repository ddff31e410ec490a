import pytest
from babel import localedata


@pytest.fixture(autouse=True)
def fresh_babel():
    """Babel resolves an alias in the tables that locales share, for whoever asks first: begin with none resolved."""
    localedata._cache.clear()
