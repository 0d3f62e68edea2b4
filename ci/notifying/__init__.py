"""Tells people of verdicts, releases and failures; nothing fails or waits because of it."""
