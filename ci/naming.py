"""What a shop or an environment may be called; standard library only."""

# Also a part of folders, containers, Kubernetes objects and registered models.
NAME = r"^[a-z][a-z0-9_-]{0,40}$"
