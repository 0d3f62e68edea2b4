"""From a shop's rows to a split, numbered dataset."""
