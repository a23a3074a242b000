"""The Grafana dashboards as code, of which `make generate` writes the chart's JSON files."""
