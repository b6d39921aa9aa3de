"""`python -m keras_transfer.cli` is the `keras-transfer` command."""

from keras_transfer.cli import main

main()
