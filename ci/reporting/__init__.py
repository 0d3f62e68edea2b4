"""The report: gathers what the stages left, and says it on one page and in one comment."""
