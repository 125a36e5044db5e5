"""Settings for all tests."""

from hypothesis import settings

# Examples have 200 ms each by default.  That is missed where other programs have the processors, and a test
# that fails for it says nothing of the code; how long a property may take is in the tests that are about it.
settings.register_profile("testfabric", deadline=None)
settings.load_profile("testfabric")
