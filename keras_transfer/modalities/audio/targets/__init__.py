"""What is written for the owners of devices around a model of sounds: a module for each target, see `Modality.kits`."""
