"""What a trainer tells the world.

telemetry   the latest value of every metric
server      ``/metrics``, while the process runs
exposition  the values as text, which fits into a termination message
"""
