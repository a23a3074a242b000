"""What a trainer tells the world.

telemetry  ``/metrics`` while it runs, and an exposition that outlives it
"""
