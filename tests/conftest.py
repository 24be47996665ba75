"""Settings shared by all tests."""

from hypothesis import settings

# The same examples in every run, so that a failure is one for everybody; no deadlines, since CI machines are shared.
settings.register_profile("multispin", deadline=None, derandomize=True, database=None)
settings.load_profile("multispin")
