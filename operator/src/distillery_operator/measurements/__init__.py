"""The port of what trainings expose.

reports     the newest report of each attempt, from three transports
scraping    trainers, asked while they run
prometheus  what a Prometheus server scraped of a pod that is gone
client      the HTTP client of both
exposition  samples of the contract's metrics as a report
"""
