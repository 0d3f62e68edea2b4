"""From a judged bundle to a release: its images, bill of materials and signed statement."""
