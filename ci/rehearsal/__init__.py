"""Real machines, a registry and their networks on one computer, to rehearse rollouts."""
