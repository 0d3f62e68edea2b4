"""Version labels: which of them a new configuration may set."""

from collections.abc import Callable, Mapping

from serving.embedded.config_files import ModelSettings
from serving.embedded.status import failed_precondition


def checked_labels(
    models: Mapping[str, ModelSettings],
    available: Callable[[str], set[int]],
    present: Mapping[str, Mapping[str, int]],
    early: bool,
) -> dict[str, dict[str, int]]:
    """Returns the labels of all models of a configuration.

    Args:
        models: The configuration.
        available: The version numbers of a model that answer now.
        present: The labels that hold now.
        early: Whether a label may name a version that is not available, unless that label already
            names another version: a label in use never moves to something that cannot answer.

    Raises:
        ServingError: FAILED_PRECONDITION in TensorFlow Serving's words.
    """
    for name, settings in models.items():
        for label, number in settings.labels.items():
            moves = present.get(name, {}).get(label, number) != number
            if number not in available(name) and (moves or not early):
                raise failed_precondition(
                    f"Request to assign label to version {number} of model {name}, which is not "
                    "currently available for inference"
                )
    return {name: dict(settings.labels) for name, settings in models.items()}
