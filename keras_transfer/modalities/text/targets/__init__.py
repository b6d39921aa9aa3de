"""What is written for the owners of devices around a model of texts: a module for each target, see `Modality.kits`."""
