"""One module a stage; stages meet only in the workspace."""
