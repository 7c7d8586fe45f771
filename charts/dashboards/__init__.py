"""The Grafana dashboards as code: ``python -m charts.dashboards`` writes them, ``--check`` finds drift."""
