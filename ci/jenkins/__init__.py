"""The Jenkinsfiles, read and rehearsed without a Jenkins."""
