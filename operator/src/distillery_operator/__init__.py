"""Searches for the best small model of a DistillationExperiment."""
