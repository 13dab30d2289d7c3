"""The world around a process: files, packages, the machine, the terminal."""
