"""Files that training frameworks write, scanned: `python -m tests.bench.honest_projects FOLDER [FRAMEWORK ...]`.

Each framework writes into a folder of its own below FOLDER. No file may be malicious; with the preset of its project, if there
is one, each must be clean. Frameworks that are not installed are skipped. One line is printed for each file that breaks the
rule, then a table of verdicts by framework, without and with the preset.
"""

import copy
import importlib
import logging
import os
import pickle
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptzip.scanning.report import Verdict
from ptzip.scanning.scan import scan

NO_CHECKPOINTS = (".json", ".txt", ".yaml", ".md", ".csv")


def torch() -> Any:
    return importlib.import_module("torch")


def lightning(folder: Path) -> None:
    """Checkpoints of a training with callbacks, and a whole module."""
    pl, nn = importlib.import_module("lightning.pytorch"), torch().nn

    class Module(pl.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self, width: int = 3) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Linear(width, 1)

        def training_step(self, batch: Any, _: int) -> Any:
            loss = self.net(batch[0]).mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = torch().optim.AdamW(self.parameters())
            return [optimizer], [torch().optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)]

    data = torch().utils.data.DataLoader(torch().utils.data.TensorDataset(torch().zeros(8, 3)), batch_size=4)
    calls = importlib.import_module("lightning.pytorch.callbacks")
    callbacks = [
        calls.ModelCheckpoint(folder, monitor="loss", save_last=True),
        calls.EarlyStopping("loss"),
        calls.StochasticWeightAveraging(1e-2),
        calls.Timer(),
        calls.ModelSummary(),
    ]
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", callbacks=callbacks, default_root_dir=folder, **quiet)
    trainer.fit(Module(), data)
    trainer.save_checkpoint(folder / "weights.ckpt", weights_only=True)
    torch().save(
        {"callbacks": [calls.EarlyStopping("loss"), calls.Timer()], "state": trainer.state},
        folder / "callbacks.pt",
    )


def sb3(folder: Path) -> None:
    """Agents of five algorithms, and a replay buffer."""
    stable = importlib.import_module("stable_baselines3")
    gym = importlib.import_module("gymnasium")
    discrete, continuous = gym.make("CartPole-v1"), gym.make("Pendulum-v1")
    for name in ("PPO", "A2C", "DQN", "SAC", "TD3", "DDPG"):
        env = discrete if name in ("PPO", "A2C", "DQN") else continuous
        options = {} if name in ("PPO", "A2C") else {"buffer_size": 100}
        model = getattr(stable, name)("MlpPolicy", env, **options)
        model.learn(8 if name != "PPO" else 2048)
        model.save(folder / f"{name}.zip")
        model.policy.save(folder / f"{name}_policy.pt")
        if options:
            model.save_replay_buffer(folder / f"{name}_buffer.pkl")
    vec = importlib.import_module("stable_baselines3.common.vec_env")
    vec.VecNormalize(vec.DummyVecEnv([lambda: gym.make("CartPole-v1")])).save(str(folder / "normalize.pkl"))


def ultralytics(folder: Path) -> None:
    """Checkpoints as its trainer saves them, for each task."""
    yolo = importlib.import_module("ultralytics").YOLO
    names = (
        "yolov8n",
        "yolov8n-seg",
        "yolov8n-pose",
        "yolov8n-obb",
        "yolov8n-cls",
        "yolo11n",
        "yolo12n",
        "yolov5n",
        "yolov3-tiny",
    )
    for name in (*names, "yolov9t", "yolov10n", "yolo26n"):
        model = yolo(f"{name}.yaml").model
        optimizer = torch().optim.SGD(model.parameters(), 0.1).state_dict()
        saved = {"epoch": 0, "best_fitness": 0.1, "model": copy.deepcopy(model).half(), "ema": None, "optimizer": optimizer}
        torch().save(
            {**saved, "train_args": vars(model.args) if hasattr(model.args, "__dict__") else model.args}, folder / f"{name}.pt"
        )


def transformers(folder: Path) -> None:
    """The checkpoint of a training: arguments, optimizer, schedule and random states."""
    hf = importlib.import_module("transformers")
    config = hf.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=16)
    model = hf.BertForSequenceClassification(config)
    data = [{"input_ids": torch().tensor([1, 2]), "labels": torch().tensor(0)}] * 4
    arguments = hf.TrainingArguments(str(folder), max_steps=2, save_steps=1, report_to=[], use_cpu=True, disable_tqdm=True)
    trainer = hf.Trainer(model, arguments, train_dataset=data)
    trainer.train()
    trainer.save_model()
    torch().save({"model": model.state_dict(), "state": trainer.state, "control": trainer.control}, folder / "states.pt")
    torch().save(hf.Seq2SeqTrainingArguments(str(folder / "s"), use_cpu=True), folder / "training_args.bin")
    torch().save(hf.GenerationConfig(), folder / "generation.pt")


def accelerate(folder: Path) -> None:
    """The state of a training."""
    accelerator = importlib.import_module("accelerate").Accelerator(cpu=True)
    net = torch().nn.Linear(3, 2)
    optimizer = torch().optim.Adam(net.parameters())
    data = torch().utils.data.DataLoader(torch().zeros(4, 3), shuffle=True)
    schedule = torch().optim.lr_scheduler.StepLR(optimizer, 1)
    accelerator.prepare(net, optimizer, data, schedule)
    accelerator.register_for_checkpointing(torch().nn.Linear(2, 2))
    accelerator.save_state(str(folder / "safe"))
    accelerator.save_state(str(folder / "pickled"), safe_serialization=False)


def vision(folder: Path) -> None:
    """Whole models of torchvision."""
    models = importlib.import_module("torchvision.models")
    names = (
        "resnet18",
        "mobilenet_v3_small",
        "efficientnet_b0",
        "squeezenet1_0",
        "densenet121",
        "googlenet",
        "shufflenet_v2_x0_5",
    )
    for name in (*names, "swin_t", "vit_b_32", "convnext_tiny", "regnet_y_400mf", "mnasnet0_5", "alexnet", "maxvit_t"):
        options = {"init_weights": False} if name == "googlenet" else {}
        torch().save(getattr(models, name)(**options), folder / f"{name}.pt")
    for name in ("ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_fpn", "retinanet_resnet50_fpn"):
        torch().save(getattr(models.detection, name)(weights=None, weights_backbone=None), folder / f"{name}.pt")
    for name in ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"):
        torch().save(getattr(models.segmentation, name)(weights=None, weights_backbone=None), folder / f"{name}.pt")


def timm(folder: Path) -> None:
    """Whole models of timm."""
    create = importlib.import_module("timm").create_model
    names = ("resnet18", "vit_tiny_patch16_224", "efficientnet_b0", "mobilenetv3_small_050", "convnext_atto", "regnetx_002")
    for name in (*names, "swin_tiny_patch4_window7_224", "mixer_s32_224", "levit_128s", "edgenext_xx_small", "ghostnet_050"):
        torch().save(create(name), folder / f"{name}.pt")


def mmengine(folder: Path) -> None:
    buffer = importlib.import_module("mmengine.logging").HistoryBuffer([1.0, 2.0], [1, 1])
    config = importlib.import_module("mmengine.config").ConfigDict(a=1, b={"c": 2})
    data = importlib.import_module("mmengine.structures").InstanceData(scores=torch().zeros(3))
    hub = {"log_scalars": {"loss": buffer}, "runtime_info": {"iter": 1}, "resumed_keys": {}}
    torch().save({"meta": {"cfg": "a = 1", "epoch": 1}, "state_dict": {}, "message_hub": hub}, folder / "epoch_1.pth")
    torch().save({"config": config, "data": data}, folder / "data.pth")


def omegaconf(folder: Path) -> None:
    conf = importlib.import_module("omegaconf").OmegaConf.create({"a": [1, 2.5, None, "x", True], "b": {"c": "${a}"}})
    torch().save({"hyper_parameters": conf, "state_dict": {}}, folder / "model.ckpt")


def skorch(folder: Path) -> None:
    """Parameters, and whole nets."""
    np, nn = importlib.import_module("numpy"), torch().nn
    net = importlib.import_module("skorch").NeuralNetRegressor(
        nn.Linear, module__in_features=3, module__out_features=1, verbose=0
    )
    net.fit(np.zeros((8, 3), "f4"), np.zeros((8, 1), "f4"))
    net.save_params(folder / "params.pt", folder / "optimizer.pt", folder / "criterion.pt", folder / "history.json")
    (folder / "net.pkl").write_bytes(pickle.dumps(net))


def trees(folder: Path) -> None:
    """Boosted trees by joblib and pickle."""
    np, joblib = importlib.import_module("numpy"), importlib.import_module("joblib")
    data, labels = np.random.rand(40, 3), np.arange(40) % 2
    for package, name in (("xgboost", "XGBClassifier"), ("lightgbm", "LGBMClassifier")):
        model = getattr(importlib.import_module(package), name)(n_estimators=2, verbosity=-1 if package == "lightgbm" else 0)
        model.fit(data, labels)
        joblib.dump(model, folder / f"{package}.joblib")
        (folder / f"{package}.pkl").write_bytes(pickle.dumps(model))


def arrays(folder: Path) -> None:
    """Files of numpy and safetensors."""
    np = importlib.import_module("numpy")
    values = {code: np.zeros(3, code) for code in ("f4", "i8", "?", "U3", "O", "M8[s]", "c16")}
    for code, value in values.items():
        np.save(folder / f"{code.strip('?[]') or 'bool'}.npy", value, allow_pickle=True)
    np.savez(folder / "arrays.npz", **{f"a{number}": value for number, value in enumerate(values.values())}, allow_pickle=True)
    np.savez_compressed(folder / "compressed.npz", a=values["f4"])
    np.zeros(3).dump(folder / "dumped.npy")
    save = importlib.import_module("safetensors.torch").save_file
    save(
        {"a": torch().zeros(2, 2), "b": torch().ones(3, dtype=torch().bfloat16)}, folder / "model.safetensors", {"format": "pt"}
    )


def distributed(folder: Path) -> None:
    """Sharded models of one process: DDP, FSDP, DTensor, ShardedTensor, and checkpoint folders."""
    dist = importlib.import_module("torch.distributed")
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store.txt'}", rank=0, world_size=1)
    dcp, nn = importlib.import_module("torch.distributed.checkpoint"), torch().nn
    mesh = importlib.import_module("torch.distributed.device_mesh").init_device_mesh("cpu", (1,), mesh_dim_names=("dp",))
    tensors = importlib.import_module("torch.distributed.tensor")
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    torch().save(nn.parallel.DistributedDataParallel(copy.deepcopy(net)).state_dict(), folder / "ddp.pt")
    torch().save({"a": tensors.distribute_tensor(torch().zeros(4, 4), mesh, [tensors.Shard(0)])}, folder / "dtensor.pt")
    torch().save({"a": tensors.distribute_tensor(torch().zeros(4), mesh, [tensors.Replicate()])}, folder / "replicated.pt")
    sharded = copy.deepcopy(net)
    importlib.import_module("torch.distributed.fsdp").fully_shard(sharded, mesh=mesh)
    optimizer = torch().optim.AdamW(sharded.parameters())
    sharded(torch().zeros(2, 4)).sum().backward()
    optimizer.step()
    torch().save({"model": sharded.state_dict(), "optimizer": optimizer.state_dict()}, folder / "fsdp2.pt")
    dcp.save({"model": sharded.state_dict(), "step": 1, "list": [1, "a"]}, checkpoint_id=str(folder / "dcp"))
    dcp.save(
        {"model": net.state_dict(), "optimizer": torch().optim.SGD(net.parameters(), 0.1).state_dict()},
        checkpoint_id=str(folder / "plain"),
    )
    old = importlib.import_module("torch.distributed._shard.sharded_tensor")
    spec = importlib.import_module("torch.distributed._shard.sharding_spec").ChunkShardingSpec(0, ["rank:0/cpu"])
    torch().save({"a": old.zeros(spec, 4, 4)}, folder / "sharded.pt")
    dist.destroy_process_group()


PROJECTS: dict[Callable[[Path], None], str] = {
    lightning: "lightning",
    sb3: "sb3",
    ultralytics: "ultralytics",
    transformers: "transformers",
    accelerate: "transformers",
    vision: "torchvision",
    timm: "timm",
    mmengine: "mmengine",
    omegaconf: "omegaconf",
    skorch: "",
    trees: "",
    arrays: "",
    distributed: "",
}
"""What writes files, and the preset for them."""


def written(write: Callable[[Path], None], folder: Path) -> list[Path]:
    """The files that a framework writes into its folder, as far as it gets."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write(folder)
    except Exception as error:  # one that is not installed, or not for this release of torch
        print(f"{folder.name}: {error!r}"[:200])
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in NO_CHECKPOINTS]


def main(folder: Path, only: list[str]) -> None:
    table = Counter[tuple[str, str, str]]()
    for write, preset in PROJECTS.items():
        name = write.__name__
        for path in written(write, folder / name) if not only or name in only else ():
            plain, trusting = scan(path), scan(path, trust=[preset] if preset else [])
            table[name, plain.verdict.value, trusting.verdict.value if preset else "-"] += 1
            if plain.verdict is Verdict.MALICIOUS or trusting.verdict is not Verdict.CLEAN:
                found = "; ".join(map(str, trusting.findings[:8])) or trusting.reason
                print(f"{path.relative_to(folder)}: {plain.verdict.value}, with {preset or 'nothing'}: {found}")
    print(f"{'framework':<14} {'verdict':<10} {'with preset':<12} files")
    for (name, verdict, trusted), count in sorted(table.items()):
        print(f"{name:<14} {verdict:<10} {trusted:<12} {count:>5}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
