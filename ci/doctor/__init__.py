"""What `bin/ci doctor` looks at: the machine, and how each thing that it lacks is mended."""
