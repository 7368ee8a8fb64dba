"""What tests measure, told in the summary. A conftest that imports both names has them."""

import pytest

MEASURED = []


@pytest.fixture
def measured(request):
    """measured(text): a line for the summary, beside the test's name."""
    return lambda text: MEASURED.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter):
    if MEASURED:
        terminalreporter.section("measured")
        for line in MEASURED:
            terminalreporter.line(line)
