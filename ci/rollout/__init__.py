"""The pipeline's side of a rollout on this machine: placing, asking, telling the ledger."""
