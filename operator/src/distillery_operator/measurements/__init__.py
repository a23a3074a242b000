"""The port of what trainings expose.

reports     the newest report of each attempt, from three transports
scraping    the HTTP client, for trainers and Prometheus
exposition  samples of the contract's metrics as a report
"""
