"""A trained model as the immutable folder that is served."""
