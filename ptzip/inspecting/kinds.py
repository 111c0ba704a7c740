"""What bytes of a checkpoint are, by the top-level key that they belong to."""

from ptzip.editing.account import Category, category_of

WEIGHTS, DUPLICATE, UNUSED, OTHER = "weights", "duplicate", "unused", "other"

MODELS = ("model", "state_dict")
"""Keys of weights that are training's own, where others have their average."""


def kind_of(path: str, average_is_model: bool = False) -> str:
    """The kind of a tensor at a path; `average_is_model` is whether the average has taken the place of the model."""
    category = category_of(path)
    if category is Category.OPTIMIZER:
        return category.value
    is_average = category is Category.EMA and path.partition(".")[0] not in MODELS
    return category.value if is_average and not average_is_model else WEIGHTS
