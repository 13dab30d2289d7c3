"""`python -m shiftnet_tf`: the command `shiftnet`."""

from shiftnet_tf.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
