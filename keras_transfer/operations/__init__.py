"""After deployment: the registry of models, and how devices update from it."""
