"""The presets of `--trust`: for each project the classes that its checkpoints contain, by module and exact name.

A plain name is a class of which pickles make instances without its constructor. `Name=` is an enumeration, whose members are
pickled as a call with one value; `Name()` is a named tuple or a namespace, whose constructor only keeps its arguments; `name&`
is a function that objects store, and pickles never call.
Nothing else of a project may be called, since real constructors open files and evaluate texts. Each module is listed with the
classes that the project defined there in some release: ultralytics 8.0 to 8.4, YOLOv5 v1.0 to v7.0 with the blocks of
yolov5-face and YOLOv5-Lite, Lightning 1.x and 2.x, transformers 4 and 5, stable_baselines3 1.x and 2.x, mmengine 0.10,
DeepSpeed 0.19.
"""

from ptzip.scanning.vision_presets import TIMM, TORCHVISION

_BLOCKS = (
    "DFL Proto HGStem HGBlock SPP SPPF C1 C2 C2f C3 C3x RepC3 C3TR C3Ghost GhostBottleneck Bottleneck BottleneckCSP "
    "ResNetBlock ResNetLayer MaxSigmoidAttnBlock C2fAttn ImagePoolingAttn ContrastiveHead BNContrastiveHead RepBottleneck "
    "RepCSP RepNCSPELAN4 ELAN1 AConv ADown SPPELAN CBLinear CBFuse C3f C3k2 C3k RepVGGDW CIB C2fCIB Attention PSABlock PSA "
    "C2PSA C2fPSA SCDown TorchVision AAttn ABlock A2C2f SwiGLUFFN Residual SAVPE Proto26 RealNVP"
)
_CONVS = (
    "Conv Conv2 LightConv DWConv DWConvTranspose2d ConvTranspose Focus GhostConv RepConv ChannelAttention SpatialAttention CBAM"
)
_HEADS = (
    "Detect Segment Segment26 OBB OBB26 Pose Pose26 Depth Classify WorldDetect LRPCHead YOLOEDetect YOLOESegment "
    "YOLOESegment26 RTDETRDecoder v10Detect SemanticSegment"
)
_TRANSFORMERS = (
    "TransformerEncoderLayer AIFI TransformerLayer TransformerBlock MLPBlock MLP LayerNorm2d MSDeformAttn "
    "DeformableTransformerDecoderLayer DeformableTransformerDecoder"
)

_ULTRALYTICS = {
    "ultralytics.nn.tasks": "BaseModel DetectionModel OBBModel SegmentationModel SemanticSegmentationModel PoseModel "
    "DepthModel ClassificationModel RTDETRDetectionModel WorldModel YOLOEModel YOLOESegModel Ensemble",
    "ultralytics.nn.modules.block": _BLOCKS,
    "ultralytics.nn.modules.conv": f"{_CONVS} Concat Index",
    "ultralytics.nn.modules.head": _HEADS,
    "ultralytics.nn.modules.transformer": _TRANSFORMERS,
    "ultralytics.nn.modules.activation": "AGLU",
    "ultralytics.nn.modules": f"{_BLOCKS} {_CONVS} Concat {_HEADS} {_TRANSFORMERS} Ensemble",
    "ultralytics.utils": "IterableSimpleNamespace()",
    "ultralytics.yolo.utils": "IterableSimpleNamespace()",
    "ultralytics.utils.loss": "VarifocalLoss FocalLoss DFLoss BboxLoss RotatedBboxLoss KeypointLoss v8DetectionLoss "
    "v8SegmentationLoss v8PoseLoss v8ClassificationLoss v8OBBLoss E2EDetectLoss E2ELoss TVPDetectLoss TVPSegmentLoss",
    "ultralytics.utils.tal": "TaskAlignedAssigner RotatedTaskAlignedAssigner PoseTaskAlignedAssigner SegTaskAlignedAssigner",
    "ultralytics.models.utils.loss": "DETRLoss RTDETRDetectionLoss",
    "ultralytics.models.utils.ops": "HungarianMatcher",
}

_CLASSIFICATION = ("torchvision.transforms.transforms", "torchvision.transforms.functional")
"""The transforms that models for classification store."""

_YOLOV5_COMMON = (
    "Conv DWConv DWConvTranspose2d TransformerLayer TransformerBlock Bottleneck BottleneckCSP CrossConv C3 C3x C3TR C3SPP "
    "C3Ghost SPP SPPF Focus GhostConv GhostBottleneck Contract Expand Concat AutoShape autoShape NMS Flatten Proto Classify "
    "StemBlock ShuffleV2Block BlazeBlock DoubleBlazeBlock conv_bn_hswish MobileNetV3_InvertedResidual LC3 LCC3 Shuffle_Block "
    "conv_bn_relu_maxpool DWConvblock ADD RepVGGBlock SEBlock mobilev3_bneck CBH LC_Block Dense ES_Bottleneck ES_SEModule"
)
_YOLOV5_MODELS = {
    "yolo": "Detect Segment BaseModel DetectionModel SegmentationModel ClassificationModel Model",
    "common": _YOLOV5_COMMON,
    "experimental": "Sum MixConv2d Ensemble CrossConv C3 GhostConv GhostBottleneck",
}
_YOLOV5 = {
    **{f"{root}.{module}": names for root in ("models", "yolov5.models") for module, names in _YOLOV5_MODELS.items()},
    **{
        f"{root}.activations": "SiLU Hardswish Mish MemoryEfficientMish FReLU AconC MetaAconC"
        for root in ("utils", "yolov5.utils")
    },
    **{f"{root}.loss": "BCEBlurWithLogitsLoss FocalLoss QFocalLoss ComputeLoss" for root in ("utils", "yolov5.utils")},
}

_CALLBACKS = {
    "callbacks.batch_size_finder": "BatchSizeFinder",
    "callbacks.device_stats_monitor": "DeviceStatsMonitor",
    "callbacks.early_stopping": "EarlyStopping EarlyStoppingReason=",
    "callbacks.finetuning": "BackboneFinetuning",
    "callbacks.gradient_accumulation_scheduler": "GradientAccumulationScheduler",
    "callbacks.lr_finder": "LearningRateFinder",
    "callbacks.lr_monitor": "LearningRateMonitor",
    "callbacks.model_checkpoint": "ModelCheckpoint",
    "callbacks.model_summary": "ModelSummary",
    "callbacks.stochastic_weight_avg": "StochasticWeightAveraging",
    "callbacks.timer": "Interval= Timer",
    "callbacks.weight_averaging": "WeightAveraging EMAWeightAveraging",
    "trainer.states": "TrainerStatus= TrainerFn= RunningStage= TrainerState",
    "utilities.parsing": "AttributeDict",
}
_LIGHTNING = {
    **{
        f"{root}.{module}": names for root in ("pytorch_lightning", "lightning.pytorch") for module, names in _CALLBACKS.items()
    },
    "lightning.fabric.utilities.data": "AttributeDict",
    "lightning_fabric.utilities.data": "AttributeDict",
}

_TRAINER = {
    "transformers.training_args": "TrainingArguments OptimizerNames= ParallelMode=",
    "transformers.training_args_seq2seq": "Seq2SeqTrainingArguments",
    "transformers.trainer_utils": "IntervalStrategy= SaveStrategy= HubStrategy= SchedulerType= EvaluationStrategy= FSDPOption= "
    "HPSearchBackend= BestRun() EvalPrediction PredictionOutput() TrainOutput()",
    "transformers.trainer_callback": "TrainerState TrainerControl",
    "transformers.trainer_pt_utils": "AcceleratorConfig LabelSmoother",
    "transformers.debug_utils": "DebugOption=",
    "transformers.integrations.deepspeed": "HfDeepSpeedConfig HfTrainerDeepSpeedConfig",
    "transformers.deepspeed": "HfDeepSpeedConfig HfTrainerDeepSpeedConfig",
    "transformers.generation.configuration_utils": "GenerationConfig GenerationMode= CompileConfig WatermarkingConfig",
    "accelerate.state": "PartialState AcceleratorState",
    "accelerate.utils.dataclasses": "DistributedType= DeepSpeedPlugin FullyShardedDataParallelPlugin "
    "GradientAccumulationPlugin",
}

_DEEPSPEED = {
    "deepspeed.runtime.fp16.loss_scaler": "LossScaler DynamicLossScaler LossScaleProfile=",
    "deepspeed.runtime.zero.config": "ZeroStageEnum=",
    "deepspeed.runtime.zero.offload_config": "OffloadDeviceEnum= OffloadStateTypeEnum=",
    "deepspeed.utils.tensor_fragment": "fragment_address",
    "deepspeed.checkpoint.universal_checkpoint": "SubparamShape",
}
"""The states of optimizers: settings and ranges, whose classes have no special method but `__init__` and `__repr__`."""

_OMEGACONF = {
    "omegaconf.dictconfig": "DictConfig",
    "omegaconf.listconfig": "ListConfig",
    "omegaconf.base": "Metadata ContainerMetadata UnionNode",
    "omegaconf.nodes": "AnyNode StringNode PathNode IntegerNode BytesNode FloatNode BooleanNode EnumNode NoneNode LiteralNode",
}
"""Configurations; their `__setstate__` sets the `__dict__` and looks at types."""

_SB3_POLICIES = (
    "BaseModel BasePolicy ActorCriticPolicy ActorCriticCnnPolicy MultiInputActorCriticPolicy ContinuousCritic CnnPolicy "
    "MlpPolicy MultiInputPolicy"
)
_STABLE_BASELINES3 = {
    **{f"{root}.spaces.{name.lower()}": name for root in ("gymnasium", "gym") for name in ("Box", "Dict", "Discrete", "Tuple")},
    **{f"{root}.spaces.space": "Space" for root in ("gymnasium", "gym")},
    **{f"{root}.spaces.multi_binary": "MultiBinary" for root in ("gymnasium", "gym")},
    **{f"{root}.spaces.multi_discrete": "MultiDiscrete" for root in ("gymnasium", "gym")},
    "stable_baselines3.common.policies": f"{_SB3_POLICIES} BasePolicy._dummy_schedule&",
    "stable_baselines3.common.vec_env.vec_normalize": "VecNormalize",
    "stable_baselines3.common.torch_layers": "BaseFeaturesExtractor FlattenExtractor NatureCNN MlpExtractor CombinedExtractor",
    "stable_baselines3.common.type_aliases": "TrainFreq() TrainFrequencyUnit= RolloutReturn()",
    "stable_baselines3.common.noise": "ActionNoise NormalActionNoise OrnsteinUhlenbeckActionNoise VectorizedActionNoise",
    "stable_baselines3.common.running_mean_std": "RunningMeanStd",
    "stable_baselines3.common.utils": "FloatSchedule LinearSchedule ConstantSchedule",
    "stable_baselines3.common.buffers": "RolloutBuffer DictRolloutBuffer ReplayBuffer DictReplayBuffer",
    "stable_baselines3.dqn.policies": "QNetwork DQNPolicy CnnPolicy MultiInputPolicy",
    "stable_baselines3.sac.policies": "Actor SACPolicy CnnPolicy MultiInputPolicy",
    "stable_baselines3.td3.policies": "Actor TD3Policy CnnPolicy MultiInputPolicy",
    "sb3_contrib.tqc.policies": "Actor Critic TQCPolicy CnnPolicy MultiInputPolicy",
    "sb3_contrib.qrdqn.policies": "QuantileNetwork QRDQNPolicy CnnPolicy MultiInputPolicy",
}

_MMENGINE = {
    "mmengine.logging.history_buffer": "HistoryBuffer HistoryBuffer.min& HistoryBuffer.max& HistoryBuffer.mean& "
    "HistoryBuffer.current&",
    "mmengine.config.config": "ConfigDict()",
    "mmengine.structures.base_data_element": "BaseDataElement",
    "mmengine.structures.instance_data": "InstanceData",
    "mmengine.structures.label_data": "LabelData",
    "mmengine.structures.pixel_data": "PixelData",
    "addict.addict": "Dict",
}

PRESETS: dict[str, dict[str, str]] = {
    "ultralytics": _ULTRALYTICS | {module: TORCHVISION[module] for module in _CLASSIFICATION},
    "yolov5": _YOLOV5,
    "lightning": _LIGHTNING | _OMEGACONF,
    "transformers": _TRAINER,
    "deepspeed": _DEEPSPEED,
    "torchvision": TORCHVISION,
    "timm": TIMM,
    "mmengine": _MMENGINE,
    "sb3": _STABLE_BASELINES3,
    "omegaconf": _OMEGACONF,
}
"""Names by module, by the name of the preset."""
