"""The ladder of models, how they are trained, and how a ranking is scored."""
