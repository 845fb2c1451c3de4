"""These tests read the source tree; they need no binary."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def built():
    """Stands before the fixture of the same name that asks for the binary."""
