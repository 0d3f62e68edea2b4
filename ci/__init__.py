"""The pipeline: configuration, workspace, stages, registry and the command line."""
