"""The checks of `bin/ci check`: each looks at some files and tells what it found in one form."""
