"""Tracking: MLflow as a projection of the results store."""
