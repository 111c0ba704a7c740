"""`--rename-class`: the names that match change, wherever a pickle has them, and nothing else does."""

import pickle
from pathlib import Path

import pytest

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.editing.edit import Edit
from ptzip.editing.rename_classes import class_renames, rename_classes
from ptzip.io.sources import BytesSource
from ptzip.pickling.nodes import Call, Global
from ptzip.pickling.reader import read_pickle
from tests.checkpoint_builder import CheckpointBuilder, instance, module, numbers


def renamed(data: bytes, **names: str) -> list[str]:
    """The names in a pickle afterwards; `_` stands for a dot in the words that are given, `X` for `*`."""
    edit = Edit(Checkpoint(BytesSource(data)).main)
    words = {old.replace("_", ".").replace("X", "*"): new for old, new in names.items()}
    rename_classes(edit, class_renames(words, lambda module, name: ""))
    calls = read_pickle(edit.finish().pickle).calls
    return sorted(
        {node.path for node in calls if isinstance(node, Global)}
        | {".".join(node.arg) for node in calls if isinstance(node, Call) and node.op == "INST"}
    )


STREAMS = {
    "global": b"\x80\x02cmodels.yolo\nModel\nq\x00)\x81q\x01.",
    "stack global": b"\x80\x04\x8c\x0bmodels.yolo\x94\x8c\x05Model\x94\x93\x94)\x81\x94.",
    "instance": b"(imodels.yolo\nModel\n.",
    "object": b"\x80\x02(cmodels.yolo\nModel\no.",
    "class": b"\x80\x02cmodels.yolo\nModel\n.",
}


@pytest.mark.parametrize("data", STREAMS.values(), ids=STREAMS)
def test_a_name_is_renamed_however_it_is_spelled(data: bytes) -> None:
    assert renamed(data, models_yolo_Model="yolov5.models.yolo.Model") == ["yolov5.models.yolo.Model"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("models_X", "yolov5.models.*", "yolov5.models.yolo.Model"),
        ("X_yolo_X", "*.v5.*", "models.v5.Model"),
        ("X", "package.*", "package.models.yolo.Model"),
        ("models_yolo_MX", "a.b.N*", "a.b.Nodel"),
        ("model_X", "other.*", "models.yolo.Model"),
        ("models_yolo", "a.b", "models.yolo.Model"),
    ],
)
def test_stars_match_anything_and_are_what_they_matched(old: str, new: str, expected: str) -> None:
    assert renamed(STREAMS["global"], **{old: new}) == [expected]


def test_a_nested_class_stays_one() -> None:
    data = b"\x80\x04\x8c\x01m\x94\x8c\x0bOuter.Inner\x94\x93\x94."
    assert renamed(data, m_X="p.m.*") == ["p.m.Outer.Inner"]
    (found,) = (node for node in read_pickle(data).calls if isinstance(node, Global))
    assert (found.module, found.name) == ("m", "Outer.Inner")


def test_the_first_that_matches_counts() -> None:
    assert renamed(STREAMS["global"], models_yolo_Model="a.A", models_X="b.*") == ["a.A"]


def checkpoint(tmp_path: Path) -> Path:
    builder = CheckpointBuilder()
    root = {
        "model": module("models.yolo.Model", {"weight": builder.parameter(numbers(9))}),
        "hyp": instance("utils.Hyp", {"a": 1}),
    }
    return builder.save(tmp_path / "last.pt", root)


def test_a_file_has_the_new_names_and_the_same_weights(tmp_path: Path) -> None:
    path, new = checkpoint(tmp_path), tmp_path / "new.pt"
    report = ptzip.slim(path, new, rename_class={"models.*": "yolov5.models.*", "utils.Hyp": "yolov5.utils.Hyp"}, dtype="keep")
    names = {name.path for name in ptzip.inspect(new).imports if not name.is_harmless}
    assert names == {"yolov5.models.yolo.Model", "yolov5.utils.Hyp"}
    assert [(one.path, one.what) for one in report.changes] == [
        ("names", "models.yolo.Model became yolov5.models.yolo.Model"),
        ("names", "utils.Hyp became yolov5.utils.Hyp"),
    ]
    found = ptzip.diff(path, new)
    assert (found.compared, found.tensors, found.lone_a, found.lone_b) == (1, (), (), ())
    assert ptzip.slim(new, rename_class={"yolov5.utils.*": "yolov5.utils.*"}, dtype="keep", dry_run=True).already_slim


def test_what_matches_nothing_is_a_warning_that_names_the_nearest(tmp_path: Path) -> None:
    report = ptzip.slim(checkpoint(tmp_path), rename_class={"models.yol.Model": "a.B"}, dry_run=True)
    assert "--rename-class models.yol.Model=a.B matches no name (did you mean models.yolo.Model?)" in report.warnings


@pytest.mark.parametrize(
    "new", ["os.system", "builtins.eval", "subprocess.Popen", "torch.hub.load", "a.__init__", "__builtin__.eval"]
)
@pytest.mark.parametrize("verb", ["slim", "convert"])
def test_no_name_becomes_one_that_scan_refuses(new: str, verb: str, tmp_path: Path) -> None:
    path = checkpoint(tmp_path)
    with pytest.raises(ptzip.EditError, match="a name that scan refuses"):
        getattr(ptzip, verb)(path, tmp_path / "new.pt", rename_class={"models.yolo.Model": new})
    assert not (tmp_path / "new.pt").exists()


@pytest.mark.parametrize("names", [{"torch.*": "old.*"}, {"torch.FloatStorage": "torch.FloatTensor"}])
def test_a_storage_class_becomes_no_other_class(names: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ptzip.EditError, match=r"--rename-class torch\..* makes torch.FloatStorage .*no storage class of torch"):
        ptzip.slim(checkpoint(tmp_path), tmp_path / "new.pt", rename_class=names, dtype="keep")


@pytest.mark.parametrize("new", ["torch.device", "numpy.dtype", "torch.float32"])
def test_a_name_may_become_one_that_is_allow_listed(new: str, tmp_path: Path) -> None:
    report = ptzip.slim(checkpoint(tmp_path), rename_class={"utils.Hyp": new}, dry_run=True)
    assert [one.what for one in report.changes if one.path == "names"] == [f"utils.Hyp became {new}"]


def test_all_names_renamed_to_themselves_change_nothing(tmp_path: Path) -> None:
    report = ptzip.slim(checkpoint(tmp_path), rename_class={"*": "*"}, dry_run=True)
    assert not report.warnings
    assert not [one for one in report.changes if one.path == "names"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("models.*", "yolov5"),
        ("models.*", "a.b"),
        ("a.b", "c.*"),
        ("Model", "a.b"),
        ("a.b", "b"),
        ("", "a.b"),
        ("a..b", "a.b"),
        ("a.b", "a b.c"),
    ],
)
def test_what_is_no_rename_is_a_wrong_argument(old: str, new: str) -> None:
    with pytest.raises(ValueError, match="invalid rename of classes"):
        ptzip.slim("last.pt", rename_class={old: new})


def test_python_loads_the_new_name() -> None:
    data = pickle.dumps([Path("a"), Path("b")], 4)
    edit = Edit(Checkpoint(BytesSource(data)).main)
    (name,) = {node.path for node in read_pickle(data).calls if isinstance(node, Global)}
    rename_classes(edit, class_renames({name: "pathlib.PurePosixPath"}, lambda module, name: ""))
    assert [type(one).__name__ for one in pickle.loads(edit.finish().pickle)] == ["PurePosixPath"] * 2
