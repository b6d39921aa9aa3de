"""What is written for the owners of devices around a model of series: a module for each target, see `Modality.kits`."""
