"""Every model on the same shoppers: lists, scores, parity, cost."""
