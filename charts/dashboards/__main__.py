"""``python -m dashboards`` writes the files."""

from dashboards import boards

boards.write()
