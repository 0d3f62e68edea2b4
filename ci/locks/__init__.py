"""Hash locks: resolved, installed, vendored."""
