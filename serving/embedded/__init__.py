"""The embedded server: TensorFlow Serving's API over engines, its protocol without TensorFlow."""
