"""Files that real libraries write, scanned: `python -m tests.bench.honest_files`.

Rule: no honest file is malicious, and one is held for review only if it contains classes of a library other than Python, numpy
and torch. Libraries that are not installed are skipped. One line is printed for each kind of file that breaks the rule, then a
table of verdicts by kind.
"""

import contextlib
import importlib
import io
import pickle
import tarfile
import warnings
from collections import ChainMap, Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from ptzip.scanning.report import Verdict
from ptzip.scanning.scan import scan

Made = tuple[str, bool, Any]
"""The name of an object, whether it has classes of a third party, and the object."""

OPTIMIZERS = ("SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "ASGD", "LBFGS", "NAdam", "RAdam", "RMSprop", "Rprop")
SCHEDULES: dict[str, dict[str, Any]] = {"StepLR": {"step_size": 1}, "ExponentialLR": {"gamma": 0.1}, "LinearLR": {}}


def of_python() -> Iterator[Made]:
    yield "containers", False, [OrderedDict(a=1), Counter("aab"), defaultdict(int, a=1), defaultdict(str), ChainMap({"a": 1})]


def of_numpy() -> Iterator[Made]:
    np = importlib.import_module("numpy")
    for code in ("f2", "f4", "f8", "i1", "i8", "?", "U3", "S3", "O", "c16"):
        yield f"array {code}", False, np.zeros(3, code)
    record = np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")])
    yield from (("records", False, record), ("record", False, record[0]), ("matrix", False, np.matrix([[1, 2]])))
    yield from (("masked", False, np.ma.masked_array([1.0, 2], [0, 1])), ("masked value", False, np.ma.masked))
    yield "masked records", False, np.ma.masked_array(np.zeros(2, [("a", "f4"), ("b", "i2")]))
    yield "texts", False, np.array(["a", "bb"], dtype=np.dtypes.StringDType())
    yield "dates", False, np.array(["2020-01-01"], dtype="M8[D]")
    yield "random states", False, [np.random.get_state(), np.random.default_rng(1)]
    yield "many generators", False, [np.random.default_rng(seed) for seed in range(1000)]


def of_torch() -> Iterator[Made]:
    torch = importlib.import_module("torch")
    nn, value = torch.nn, torch.zeros(2, 3)
    for name in OPTIMIZERS:
        net = nn.Linear(3, 2)
        optimizer = getattr(torch.optim, name)(net.parameters(), lr=0.1)
        yield f"optimizer {name}", False, optimizer
        yield f"state of {name}", False, {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}
    for name, options in SCHEDULES.items():
        optimizer = torch.optim.SGD(nn.Linear(3, 2).parameters(), lr=0.1)
        yield f"schedule {name}", False, getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    layers = (nn.Transformer(8, 2, 1, 1, 16), nn.LazyLinear(3), nn.LSTM(3, 4, 2), nn.DataParallel(nn.Linear(3, 2)))
    blocks = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), nn.utils.weight_norm(nn.Linear(3, 2)))
    for layer in (*layers, *blocks):
        yield f"module {type(layer).__name__}", False, layer
    for dtype in ["float16", "float32", "float64", "bfloat16", "int8", "int64", "bool", "complex64"]:
        yield f"tensor {dtype}", False, torch.zeros(2, 2, dtype=getattr(torch, dtype))
    yield "distribution", False, torch.distributions.Normal(value, value + 1)
    yield "functions", False, [torch.relu, nn.functional.gelu, nn.init.xavier_uniform_]
    yield "quantization", False, torch.ao.quantization.get_default_qconfig_mapping()
    yield "result", False, torch.max(value, 1)
    yield "average", False, torch.optim.swa_utils.AveragedModel(nn.Linear(3, 2))
    yield "data set", False, torch.utils.data.TensorDataset(value)
    yield "scaler", False, torch.amp.GradScaler("cpu")


def of_sklearn() -> Iterator[Made]:
    np, linear = importlib.import_module("numpy"), importlib.import_module("sklearn.linear_model")
    trees, pipeline = importlib.import_module("sklearn.ensemble"), importlib.import_module("sklearn.pipeline")
    scaler = importlib.import_module("sklearn.preprocessing").StandardScaler()
    data, labels = np.random.rand(20, 3), np.arange(20) % 2
    models = (linear.LinearRegression(), linear.LogisticRegression(), trees.RandomForestClassifier(3))
    for model in (*models, pipeline.Pipeline([("a", scaler)])):
        yield f"sklearn {type(model).__name__}", True, model.fit(data, labels)


def of_pandas() -> Iterator[Made]:
    pandas = importlib.import_module("pandas")
    yield "frame", True, pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    yield "series", True, pandas.Series([1.0, 2.0], index=pandas.date_range("2020", periods=2))


def of_models() -> Iterator[Made]:
    config = importlib.import_module("transformers").BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    yield "transformers configuration", True, config
    spaces = importlib.import_module("gymnasium").spaces
    yield "gymnasium spaces", True, [spaces.Box(-1, 1, (2,)), spaces.Discrete(3)]
    yield "omegaconf", True, importlib.import_module("omegaconf").OmegaConf.create({"a": [1]})


SOURCES: tuple[Callable[[], Iterator[Made]], ...] = (of_python, of_numpy, of_torch, of_sklearn, of_pandas, of_models)


def written(value: Any) -> Iterator[tuple[str, bytes]]:
    """A value in the formats that can hold it."""
    for protocol in range(6):
        with contextlib.suppress(TypeError, pickle.PicklingError, RuntimeError):
            yield f"pickle {protocol}", pickle.dumps(value, protocol)
    with contextlib.suppress(ImportError):
        joblib = importlib.import_module("joblib")
        yield from (("joblib", _saved(joblib.dump, value)), ("joblib zlib", _saved(joblib.dump, value, compress=3)))
    with contextlib.suppress(ImportError):
        torch = importlib.import_module("torch")
        new, old = (_saved(torch.save, value, _use_new_zipfile_serialization=is_new) for is_new in (True, False))
        yield from (("torch zip", new), ("torch legacy", old), ("tar of torch", _tar(new)))


def _saved(save: Callable[..., Any], value: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    save(value, stream, **options)
    return stream.getvalue()


def _tar(data: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for name in ("a.pt", "b.pt"):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def main() -> None:
    table = Counter[tuple[str, str, str]]()
    for source in SOURCES:
        with contextlib.suppress(ImportError):
            for name, is_foreign, value in source():
                for way, data in written(value):
                    report = scan(data)
                    table[source.__name__, "review" if is_foreign else "clean", report.verdict.value] += 1
                    if report.verdict not in (Verdict.CLEAN, Verdict.REVIEW if is_foreign else Verdict.CLEAN):
                        print(f"{name}, {way}: {report.verdict.value}: {'; '.join(map(str, report.findings[:3]))}")
    print(f"{'kind':<12} {'at most':<8} {'verdict':<10} files")
    for (kind, allowed, verdict), count in sorted(table.items()):
        print(f"{kind:<12} {allowed:<8} {verdict:<10} {count:>5}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
