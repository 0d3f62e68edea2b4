"""The shopper's door: recommendations over HTTP from one release, without TensorFlow."""
