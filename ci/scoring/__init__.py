"""What `bin/ci scorecard` scores: points, each with the tests and stages that prove it."""
