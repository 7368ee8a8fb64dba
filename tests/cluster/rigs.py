"""The rigs of a test. A conftest that imports both names has them."""

import pytest


@pytest.fixture
def keep_rig(request):
    """keep_rig(rig): it is closed when the test ends, and where the test failed its logs are told first."""
    rigs = []

    def keep(rig):
        rigs.append(rig)
        return rig

    yield keep
    for rig in rigs:
        if getattr(request.node, "failed", False):
            print(f"--- {rig.pointsman.file}'s log, its end\n{rig.pointsman.log()[-6000:]}")
            print(f"--- HAProxy's log, its end\n{rig.haproxy.log()[-2000:]}")
        rig.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed
