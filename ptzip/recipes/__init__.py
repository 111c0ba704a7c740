"""Recipes: what is taken out of a checkpoint, one small file for each framework; `RECIPES` is all of them.

The first that matches is the one that `auto` takes, so the more special come first.
"""

from ptzip.errors import EditError
from ptzip.pickling.nodes import Node
from ptzip.recipes import (
    agilerl,
    basic,
    detectron2,
    fastai,
    generic,
    lightning,
    mmengine,
    nnunet,
    sb3,
    stable_diffusion,
    timm,
    transformers_trainer,
    ultralytics,
    vits,
    yolov5,
    yolov6,
    yolov7,
    yolox,
)
from ptzip.recipes.no_weights import reason
from ptzip.recipes.recipe import Recipe

RECIPES: tuple[Recipe, ...] = (
    *(ultralytics.RECIPE, yolov7.RECIPE, yolov6.RECIPE, yolov5.RECIPE, basic.RECIPE, yolox.RECIPE),
    *(stable_diffusion.RECIPE, lightning.RECIPE, timm.RECIPE, mmengine.RECIPE, detectron2.RECIPE, nnunet.RECIPE),
    *(vits.RVC, vits.SO_VITS, fastai.RECIPE, agilerl.RECIPE, transformers_trainer.RECIPE, sb3.RECIPE, generic.RECIPE),
)

GENERIC = generic.RECIPE
"""The one that takes any checkpoint."""

AUTO = "auto"
NAMES = (AUTO, *(recipe.name for recipe in RECIPES))


def recipe_in(format: str) -> str:
    """The name of the recipe for a format that tells the framework: of a tar or zip of files, or of a folder."""
    return {sb3.ZIP: sb3.RECIPE.name, transformers_trainer.FOLDER: transformers_trainer.RECIPE.name}.get(format, AUTO)


def choose(root: Node, name: str = AUTO, is_any: bool = False) -> Recipe:
    """The recipe of that name, or the one whose layout the tree has; `generic`, if `is_any` layout will do.

    Raises EditError where no recipe matches, ValueError for an unknown name.
    """
    for recipe in RECIPES:
        if name == recipe.name or (name == AUTO and recipe.matches(root)):
            return recipe
    if name == AUTO and is_any:
        return GENERIC
    if name != AUTO:
        raise ValueError(f"recipe is {name!r}, expected one of {', '.join(NAMES)}")
    raise EditError(reason(root))
