"""The embedded server as an image's /usr/bin/tensorflow_model_server: LiteRT, on every address."""

import sys
from collections.abc import Sequence

from serving import server

# TF Serving batches rows; LiteRT answers each as cheaply alone, and the server refuses to batch it.
BATCHING = ("--enable_batching", "--batching_parameters_file")


def arguments_of(given: Sequence[str]) -> list[str]:
    """The embedded server's arguments for a command line that was written for TF Serving.

    Args:
        given: Flags in one word each, as in serving/Dockerfile.
    """
    kept = [word for word in given if word.partition("=")[0] not in BATCHING]
    # In front, so that a person's own --host still counts.
    return ["--engine=litert", "--host=0.0.0.0", *kept]


if __name__ == "__main__":
    sys.exit(server.main(arguments_of(sys.argv[1:])))
