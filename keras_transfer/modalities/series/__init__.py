"""Time series of sensors as a modality."""
