"""A diffusers pipeline: `model_index.json`, and a folder for each component, of which some have weights.

The object has the state dict of each component by its name. Of several copies of its weights it has the one that
`from_pretrained` loads (diffusers `pipelines/pipeline_utils.py`).
"""

from itertools import groupby

from ptzip.formats.folders.assembly import Assembly, Fact, Folder, Role, Unread
from ptzip.formats.folders.listing import Listing
from ptzip.formats.folders.pretrained import weights_files
from ptzip.formats.folders.sharded_index import state_dict
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits
from ptzip.pickling.new_nodes import atom, new_dict
from ptzip.pickling.nodes import Node

NAME = "diffusers pipeline"
INDEX = "model_index.json"


def files(listing: Listing) -> list[str] | None:
    """The files of weights of all components, those that are loaded before others; None where it is no pipeline."""
    if INDEX not in listing.names or not listing.is_about(INDEX):
        return None
    return [f"{name}/{file}" for name in listing.names for file in weights_files(listing.below(name))] or None


def read(source: FolderSource, limits: Limits) -> Folder:
    """Open the folder. Raises FormatError where a component has not the shards that its index names."""
    assembly, nodes, used = Assembly(), list[Node](), set[str]()
    for component, (loaded, *_) in groupby(source.files, lambda path: path.partition("/")[0]):
        weights, read = state_dict(source, loaded, assembly, limits)
        nodes += atom(component), weights
        used.update(read)
    unread = [Unread(path, file.size, Role.COPY) for path, file in source.files.items() if path not in used]
    facts = [Fact("components", f"{len(nodes) // 2:,}")]
    return assembly.folder(NAME, source, new_dict(nodes), limits, facts, unread)
