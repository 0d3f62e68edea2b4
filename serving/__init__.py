"""What answers shoppers: the embedded server, the gateway, the supervisor."""
