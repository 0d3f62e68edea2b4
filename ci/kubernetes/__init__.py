"""Manifests for Kubernetes: how they are rendered and built, and what must be true of them."""
