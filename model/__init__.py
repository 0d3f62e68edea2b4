"""From events to a servable bundle: data, models, metrics."""
