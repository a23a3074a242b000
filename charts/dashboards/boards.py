"""Every dashboard as JSON, in the schema that Grafana 12 and newer read from files."""

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import annotations, experiment, health, overview, trial
from dashboards.panels import BOARDS

FOLDER = Path(__file__).parents[1] / "distillery" / "dashboards"

PLUGIN_VERSION = "12.0.0"
"""Of which the panels' options are; Grafana would take them for those of its oldest without one."""


def documents() -> dict[str, dict[str, Any]]:
    """Return the dashboards by file name."""
    built = (overview.build(), experiment.build(), trial.build(), health.build())
    made = [json.loads(json.dumps(board.build(), cls=JSONEncoder)) for board in built]
    for document in made:
        for link in document["links"]:
            del link["placement"]  # which would hide it in a menu
        document["annotations"] = {"list": annotations.of(document["uid"])}
        for number, panel in enumerate(document["panels"], start=1):
            panel["id"] = number
            if panel["type"] != "row":
                panel["pluginVersion"] = PLUGIN_VERSION
    return {f"{document['uid']}.json": document for document in made}


def write() -> None:
    """Write a file for each dashboard."""
    made = documents()
    assert made.keys() == {f"{uid}.json" for uid in BOARDS}
    for name, document in made.items():
        text = json.dumps(document, indent=2, sort_keys=True) + "\n"
        (FOLDER / name).write_text(text, encoding="utf-8")
