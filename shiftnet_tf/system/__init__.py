"""The environment of a process: files, packages, the machine, the terminal."""
