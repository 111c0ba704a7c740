"""A training checkpoint that is too large to be fetched as a whole: a model, and twice as many bytes of optimizer."""

from pathlib import Path

import numpy as np

from tests.small_checkpoints import Saving, save

WIDTH, LAYERS = 256, 12


def training(path: Path, seed: int = 1) -> Path:
    """Write it, with other numbers for another seed; the sizes are the same."""
    numbers = np.random.default_rng(seed)
    arrays = {str(layer): numbers.standard_normal((WIDTH, WIDTH)).astype("float32") for layer in range(LAYERS)}
    state = {layer: {"exp_avg": array * 2, "exp_avg_sq": array * array} for layer, array in arrays.items()}
    saving = Saving()
    root = saving.node({"epoch": 3, "model": arrays, "optimizer": {"state": state, "param_groups": []}})
    return save(path, saving.records(root))
