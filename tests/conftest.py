"""What every test run begins with: its environment, its plugins."""

import os

import hypothesis

# Read when the libraries are imported: no test reaches for the hub, and one thread is enough, for
# more threads than free cores make a step ten times slower.
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}

# A busy machine makes single examples slow, and a test must not fail for that.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

pytest_plugins = (
    "support.tiers",
    "support.fixtures.models",
    "support.fixtures.servers",
    "support.fixtures.workspaces",
    "support.logs",
)
