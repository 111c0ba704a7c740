"""The training layout of every framework that a recipe knows, and what is left of it; files of `fixtures/make_layouts.py`.

What a dry run tells and what the output holds is kept in `fixtures/layouts/NAME.txt`, written anew by `PTZIP_REWRITE=1 python
-m pytest tests/recipes/test_layouts.py`; read the difference then. What the weights should be is worked out by torch.
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.errors import EditError
from ptzip.pickling.nodes import Atom, Node, lookup
from ptzip.recipes import choose
from ptzip.render.slim import plan_lines, slim_lines
from ptzip.render.words import shape, value
from ptzip.tree.kinds import kind
from tests.corpus import FIXTURES, ROOT
from tests.torch_reference import differences, summary

LAYOUTS = FIXTURES / "layouts"

REWRITES = os.environ.get("PTZIP_REWRITE", "") not in ("", "0")

REFUSED = {
    "deepspeed-model": "a shard of a DeepSpeed checkpoint, .*: let zero_to_fp32.py make one file",
    "deepspeed-optim": "a shard of a DeepSpeed checkpoint, .*: let zero_to_fp32.py make one file",
    "fsdp-flat": "the state of one rank of FSDP, .*: save it with FULL_STATE_DICT",
    "trainer-optimizer": "holds the state of an optimizer and no weights: delete it",
}
"""What is said of the files that are not slimmed."""

PATHS = sorted(LAYOUTS.glob("*.pt"))
NAMES = [path.stem for path in PATHS if path.stem not in REFUSED]

CHOSEN = {
    "detectron2-default": "detectron2",
    "detectron2-trainer": "detectron2",
    "rvc-small": "rvc",
    "transformers": "generic",
}
"""What `auto` picks for a layout; for all others the recipe of that name."""

Slimmer = Callable[..., Path]


@pytest.fixture
def slim(tmp_path: Path) -> Slimmer:
    """Slim a layout; gives the layout itself where that is slim already."""

    def run(name: str, **options: Any) -> Path:
        report = ptzip.slim(LAYOUTS / f"{name}.pt", tmp_path / f"{name}.pt", overwrite=True, **options)
        return Path(report.output or report.path)

    return run


# Without torch


@pytest.mark.parametrize("name", NAMES)
def test_auto_knows_every_layout(name: str) -> None:
    with ptzip.open(LAYOUTS / f"{name}.pt") as checkpoint:
        assert choose(checkpoint.root).name == CHOSEN.get(name, name)


@pytest.mark.parametrize("name", NAMES)
def test_what_becomes_of_a_layout_is_what_it_was(name: str, slim: Slimmer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(LAYOUTS)
    golden, shown = LAYOUTS / f"{name}.txt", "\n".join([*told(name), "after:", *held(slim(name))]) + "\n"
    if REWRITES:
        golden.write_text(shown)
    assert shown == golden.read_text()


def told(name: str) -> Iterator[str]:
    """What `ptzip slim -n` prints of a layout, which is called by its name alone."""
    report = ptzip.slim(f"{name}.pt", dry_run=True)
    yield from (f"warning: {warning}" for warning in report.warnings)
    yield from slim_lines(report)
    yield from plan_lines(report)


def held(path: Path) -> Iterator[str]:
    """The top-level keys of a file, and the dtypes of the tensors below each."""
    with ptzip.open(path) as checkpoint:
        tensors = checkpoint.tensors()
        for key in checkpoint.top_level_keys:
            found = lookup(checkpoint.root, key)
            assert found is not None
            yield f"  {key}: {worded(found)}"
            for name, tensor in tensors.items():
                if name == key or name.startswith(f"{key}."):
                    yield f"    {name}: {tensor.dtype} {shape(tensor.shape)}"


def worded(node: Node) -> str:
    return value(node.value) if isinstance(node, Atom) else kind(node)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_left_of_a_layout_is_slim(name: str, slim: Slimmer) -> None:
    path = slim(name)
    again = ptzip.slim(path, path.with_suffix(".again.pt"))
    assert again.already_slim, again.changes
    assert path.with_suffix(".again.pt").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_must_not_be_slimmed_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    with pytest.raises(EditError, match=REFUSED[name]):
        ptzip.slim(LAYOUTS / f"{name}.pt", tmp_path / "out.pt")
    assert list(tmp_path.iterdir()) == []


def test_every_golden_table_has_its_layout() -> None:
    assert [path.stem for path in sorted(LAYOUTS.glob("*.txt"))] == NAMES
    assert {path.stem for path in PATHS} == {*NAMES, *REFUSED}


def test_the_layouts_are_small() -> None:
    assert max(path.stat().st_size for path in LAYOUTS.iterdir()) < 60_000


# With torch


WEIGHTS = {
    "detectron2": ("model", "model"),
    "detectron2-default": ("model", "model"),
    "detectron2-trainer": ("model", "model"),
    "generic": ("net", "net"),
    "lightning": ("state_dict", "state_dict"),
    "mmengine": ("state_dict", "state_dict"),
    "nnunet": ("network_weights", "network_weights"),
    "rvc": ("model", "model"),
    "rvc-small": ("weight", "weight"),
    "so-vits": ("model", "model"),
    "stable-diffusion": ("state_dict", "state_dict"),
    "timm": ("state_dict_ema", "state_dict"),
    "transformers": ("", ""),
    "yolox": ("model", "model"),
}
"""Where the weights that are kept stand in a layout, and where in what is left of it."""

MODULES = ("yolov6", "yolov7")

OF_OTHER_TYPES = {"nnunet", "timm", "yolox"}
"""What `weights_only` refuses also when it is slim: numbers of numpy, a namespace of arguments."""

DIFFUSION = ["betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "posterior_variance"]
"""The buffers of Stable Diffusion that stay float32."""


def made() -> Any:
    """The script that made the layouts; it needs torch."""
    return importlib.import_module("fixtures.make_layouts")


def layout(name: str) -> Any:
    return next(one for one in made().SLIMMED if one.name == name)


def read(path: Path, weights_only: bool = False) -> Any:
    """What torch reads from a layout, or from what is left of it, where the framework is there."""
    torch: Any = importlib.import_module("torch")
    with made().importable(layout(path.stem).classes):
        return torch.load(path, map_location="cpu", weights_only=weights_only)


def weights(root: Any, place: str) -> dict[str, Any]:
    return dict(root[place] if place else root)


def cast(name: str, tensor: Any) -> Any:
    return tensor.half() if tensor.is_floating_point() and name not in DIFFUSION else tensor


def averaged(state: dict[str, Any]) -> dict[str, Any]:
    """A state dict of Stable Diffusion whose UNet is the average, spelled out as the framework's `LitEma` names it."""
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("model_ema.")}
    for name in kept:
        if name.startswith("model."):
            kept[name] = state["model_ema." + name.removeprefix("model.").replace(".", "")]
    return kept


def expected(name: str) -> dict[str, Any]:
    """The weights that should be left of a layout."""
    before = weights(read(LAYOUTS / f"{name}.pt"), WEIGHTS[name][0])
    if name == "stable-diffusion":
        before = averaged(before)
    return {key: cast(key, tensor) for key, tensor in before.items() if "enc_q" not in key}


def check_equal(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    assert {name: tensor.dtype for name, tensor in found.items()} == {name: each.dtype for name, each in wanted.items()}
    assert [name for name, tensor in found.items() if not tensor.equal(wanted[name])] == []


@pytest.mark.torch
@pytest.mark.parametrize("name", WEIGHTS)
def test_the_weights_that_are_left_are_those_of_the_layout_in_half_precision(name: str, slim: Slimmer) -> None:
    root = read(slim(name), weights_only=name not in OF_OTHER_TYPES)
    found = weights(root, WEIGHTS[name][1])
    check_equal(found, expected(name))
    assert any(tensor.is_floating_point() for tensor in found.values())


@pytest.mark.torch
@pytest.mark.parametrize("name", WEIGHTS)
def test_the_versions_of_the_modules_stay_with_their_weights(name: str, slim: Slimmer) -> None:
    before = read(LAYOUTS / f"{name}.pt")
    after = read(slim(name))
    source, target = WEIGHTS[name]
    old, new = before[source] if source else before, after[target] if target else after
    assert getattr(new, "_metadata", None) == getattr(old, "_metadata", None)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["lightning", "timm", "yolox", "detectron2", "rvc", "generic"])
def test_all_that_stays_beside_the_weights_is_as_it_was(name: str, slim: Slimmer) -> None:
    before, after = read(LAYOUTS / f"{name}.pt"), read(slim(name))
    kept = after.keys() - {WEIGHTS[name][1], "optimizer"}
    assert kept
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}


@pytest.mark.torch
@pytest.mark.parametrize("name", [*WEIGHTS, *MODULES])
def test_no_state_of_an_optimizer_is_left(name: str, slim: Slimmer) -> None:
    kept = [path for path in summary(slim(name))["tensors"] if "exp_avg" in path or "momentum_buffer" in path]
    assert kept == []


@pytest.mark.torch
def test_names_of_one_tensor_still_share_it(slim: Slimmer) -> None:
    for name, (_, place) in WEIGHTS.items():
        before, after = weights(read(LAYOUTS / f"{name}.pt"), WEIGHTS[name][0]), weights(read(slim(name)), place)
        pairs = {key for key in after if sum(before[key].data_ptr() == other.data_ptr() for other in before.values()) > 1}
        again = {key for key in after if sum(after[key].data_ptr() == other.data_ptr() for other in after.values()) > 1}
        assert pairs == again
        assert bool(again) is (name in ("nnunet", "transformers"))


# What frameworks do with what is left


def stripped(root: Any, **values: Any) -> Any:
    """What the strippers of YOLOv6 and YOLOv7 do, but for the keys that they set."""
    root["model"] = root["ema"]
    root.update(values)
    root["model"].half()
    for parameter in root["model"].parameters():
        parameter.requires_grad = False
    return root


YOLO = {
    "yolov6": dict.fromkeys(("optimizer", "ema", "updates")),
    "yolov7": dict.fromkeys(("optimizer", "training_results", "wandb_id", "ema", "updates")) | {"epoch": -1},
}
"""The keys that the stripper sets; that of YOLOv6 is told the epoch, which is the file's own."""


@pytest.mark.torch
@pytest.mark.parametrize("is_half", [True, False], ids=["saved in half precision", "saved in float32"])
@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_what_the_stripper_of_the_framework_makes_of_it(name: str, is_half: bool, tmp_path: Path) -> None:
    torch: Any = importlib.import_module("torch")
    with made().importable(layout(name).classes):
        torch.save(layout(name).make(is_half=is_half), tmp_path / "last.pt")
        root = torch.load(tmp_path / "last.pt", map_location="cpu", weights_only=False)
        torch.save(stripped(root, **YOLO[name]), tmp_path / "stripped.pt")
    assert ptzip.slim(tmp_path / "last.pt", tmp_path / "slim.pt").recipe == name
    assert differences(summary(tmp_path / "slim.pt"), summary(tmp_path / "stripped.pt")) == []


@pytest.mark.torch
@pytest.mark.parametrize("name", MODULES)
def test_a_slim_module_is_one_of_the_framework(name: str, slim: Slimmer) -> None:
    before, after = read(LAYOUTS / f"{name}.pt"), read(slim(name))
    assert f"{type(after['model']).__module__}.{type(after['model']).__name__}" in layout(name).classes
    check_equal(after["model"].state_dict(), {key: cast(key, each) for key, each in before["ema"].state_dict().items()})
    after["model"].float().half()


@pytest.mark.torch
def test_an_optimizer_takes_what_nnunet_asks_of_a_slim_file(slim: Slimmer) -> None:
    torch: Any = importlib.import_module("torch")
    before, after = read(LAYOUTS / "nnunet.pt"), read(slim("nnunet"))
    trained = [value.float() for name, value in after["network_weights"].items() if "all_modules" not in name]
    parameters = [torch.nn.Parameter(value) for value in trained]
    optimizer = torch.optim.SGD(parameters, lr=1.0, momentum=0.5)
    optimizer.load_state_dict(after["optimizer_state"])
    assert optimizer.state_dict()["param_groups"] == before["optimizer_state"]["param_groups"]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert len(optimizer.state) == len(parameters)


@pytest.mark.torch
def test_so_vits_starts_anew_without_an_optimizer(slim: Slimmer) -> None:
    after = read(slim("so-vits"))
    assert (after["optimizer"], after["iteration"], after["learning_rate"]) == (None, 0, 0.0001)


def live(name: str) -> dict[str, Any]:
    """The weights of a layout that were trained, of which others are the average."""
    root = read(LAYOUTS / f"{name}.pt")
    if name == "mmengine":  # whose hook swaps both before it saves
        state = root["ema_state_dict"]
        return {key.removeprefix("module."): each for key, each in state.items() if key != "steps"}
    if name in MODULES:
        return dict(root["model"].state_dict())
    return {key: each for key, each in root["state_dict"].items() if not key.startswith("model_ema.")}


@pytest.mark.torch
@pytest.mark.parametrize("name", ["mmengine", "stable-diffusion", "timm", *MODULES])
def test_the_live_weights_are_taken_where_they_are_asked_for(name: str, slim: Slimmer) -> None:
    found, averages = (read(slim(name, ema=is_average)) for is_average in (False, True))
    after, average = ((root["model"].state_dict() if name in MODULES else root["state_dict"]) for root in (found, averages))
    assert not {"ema", "ema_state_dict", "state_dict_ema"} & {key for key, each in found.items() if each is not None}
    check_equal(after, {key: cast(key, each) for key, each in live(name).items()})
    assert any(not each.equal(average[key]) for key, each in after.items())


@pytest.mark.torch
def test_the_script_makes_the_same_layouts_again(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fixtures.make_layouts", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "5"}, check=True)
    made_again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made_again.keys() == {path.name for path in PATHS}
    assert [name for name, data in made_again.items() if data != (LAYOUTS / name).read_bytes()] == []
