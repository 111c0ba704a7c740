"""The classes of torch that checkpoints contain besides those of state dicts, and the functions that these classes store.

Source: `torch.nn`, `torch.optim`, `torch.ao`, `torch.distributed`, `torch.distributions` and `torch.utils.data` of torch 1.6,
1.9, 1.13, 2.3, 2.6 and 2.13. What follows a name says what pickles may do with it:

    Name    make an instance without its constructor, and give it a state
    Name*   the same; its `__setstate__` unpacks a tuple
    Name#   the same; its `__setstate__` loops over the state, which must be literal
    Name=   call it with the value of a member of the enumeration
    Name()  call it with any arguments, which it only keeps
    Name[]  call it with one tuple
    name&   store it, a function of tensors or a type, but never call it

A class belongs here only if neither its `__new__` nor its `__setstate__`, `__setattr__`, `__reduce__` and `__del__` call what a
file passes, compile or import anything, or touch files; a test asserts that each of those methods has been looked at. Left out
are, for instance, `GraphModule` (compiles code), `RemoteModule` (starts a worker), data pipes (call functions) and sparsifiers.
"""

MODULES = {
    "torch.nn.backends.backend": "FunctionBackend",
    "torch.nn.backends.thnn": "THNNFunctionBackend _get_thnn_function_backend()",
    "torch.nn.modules.activation": (
        "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax Mish MultiheadAttention "
        "PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmax2d Softmin Softplus Softshrink Softsign Tanh Tanhshrink "
        "Threshold"
    ),
    "torch.nn.modules.adaptive": "AdaptiveLogSoftmaxWithLoss",
    "torch.nn.modules.batchnorm": (
        "BatchNorm1d BatchNorm2d BatchNorm3d LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d SyncBatchNorm _BatchNorm "
        "_LazyBatchNorm _LazyNormBase _NormBase"
    ),
    "torch.nn.modules.channelshuffle": "ChannelShuffle",
    "torch.nn.modules.container": "Container ModuleDict ModuleList ParameterDict ParameterList Sequential",
    "torch.nn.modules.conv": (
        "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d LazyConv1d LazyConv2d LazyConv3d "
        "LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d _ConvNd _ConvTransposeMixin _ConvTransposeNd"
    ),
    "torch.nn.modules.distance": "CosineSimilarity PairwiseDistance",
    "torch.nn.modules.dropout": "AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout _DropoutNd",
    "torch.nn.modules.flatten": "Flatten Unflatten",
    "torch.nn.modules.fold": "Fold Unfold",
    "torch.nn.modules.instancenorm": (
        "InstanceNorm1d InstanceNorm2d InstanceNorm3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d _InstanceNorm"
    ),
    "torch.nn.modules.linear": "Bilinear Identity LazyLinear Linear NonDynamicallyQuantizableLinear _LinearWithBias",
    "torch.nn.modules.linear_cross_entropy_options": "_AutoDefault()",
    "torch.nn.modules.loss": (
        "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss HingeEmbeddingLoss HuberLoss "
        "KLDivLoss L1Loss LinearCrossEntropyLoss MSELoss MarginRankingLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss "
        "MultiMarginLoss NLLLoss NLLLoss2d PoissonNLLLoss SmoothL1Loss SoftMarginLoss TripletMarginLoss "
        "TripletMarginWithDistanceLoss _Loss _WeightedLoss"
    ),
    "torch.nn.modules.module": "Module _IncompatibleKeys() _WrappedHook",
    "torch.nn.modules.normalization": "CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm",
    "torch.nn.modules.padding": (
        "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d ReflectionPad1d ReflectionPad2d "
        "ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d ZeroPad1d ZeroPad2d ZeroPad3d _CircularPadNd "
        "_ConstantPadNd _ReflectionPadNd _ReplicationPadNd"
    ),
    "torch.nn.modules.pixelshuffle": "PixelShuffle PixelUnshuffle",
    "torch.nn.modules.pooling": (
        "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d "
        "AvgPool1d AvgPool2d AvgPool3d FractionalMaxPool2d FractionalMaxPool3d LPPool1d LPPool2d LPPool3d MaxPool1d MaxPool2d "
        "MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d _AdaptiveAvgPoolNd _AdaptiveMaxPoolNd _AvgPoolNd _LPPoolNd _MaxPoolNd "
        "_MaxUnpoolNd"
    ),
    "torch.nn.modules.rnn": "GRU# GRUCell LSTM# LSTMCell RNN# RNNBase# RNNCell RNNCellBase",
    "torch.nn.modules.sparse": "Embedding EmbeddingBag",
    "torch.nn.modules.transformer": (
        "Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer"
    ),
    "torch.nn.modules.upsampling": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
    "torch.nn.parallel": "DistributedDataParallelCPU",
    "torch.nn.parallel.data_parallel": "DataParallel",
    "torch.nn.parallel.distributed": (
        "DistributedDataParallel _BucketCapacityConfig _BufferCommHookLocation= _DDPUnevenInputsConfig() _MixedPrecision"
    ),
    "torch.nn.utils.parametrizations": "_OrthMaps= _Orthogonal _SpectralNorm _WeightNorm",
    "torch.nn.utils.parametrize": "ParametrizationList",
    "torch.nn.utils.prune": (
        "BasePruningMethod CustomFromMask Identity L1Unstructured LnStructured PruningContainer RandomStructured "
        "RandomUnstructured"
    ),
    "torch.nn.utils.rnn": "PackedSequence() PackedSequence_()",
    "torch.nn.utils.spectral_norm": "SpectralNorm SpectralNormLoadStateDictPreHook SpectralNormStateDictHook",
    "torch.nn.utils.weight_norm": "WeightNorm",
}
"""Modules of torch.nn, the hooks of its utilities, and the functions that they store. A `__setstate__` of these sets the
`__dict__`, and adds attributes that older releases did not have; DistributedDataParallel needs a process group and
raises without one."""

QUANTIZATION = {
    "torch.ao.nn.intrinsic.modules.fused": (
        "BNReLU2d BNReLU3d ConvAdd2d ConvAddReLU2d ConvBn1d ConvBn2d ConvBn3d ConvBnReLU1d ConvBnReLU2d ConvBnReLU3d "
        "ConvReLU1d ConvReLU2d ConvReLU3d LinearBn1d LinearLeakyReLU LinearReLU LinearTanh _FusedModule"
    ),
    "torch.ao.nn.intrinsic.qat.modules.conv_fused": (
        "ConvBn1d ConvBn2d ConvBn3d ConvBnReLU1d ConvBnReLU2d ConvBnReLU3d ConvReLU1d ConvReLU2d ConvReLU3d _ConvBnNd"
    ),
    "torch.ao.nn.intrinsic.qat.modules.linear_fused": "LinearBn1d",
    "torch.ao.nn.intrinsic.qat.modules.linear_relu": "LinearReLU",
    "torch.ao.nn.intrinsic.quantized.dynamic.modules.linear_relu": "LinearReLU",
    "torch.ao.nn.intrinsic.quantized.modules.bn_relu": "BNReLU2d BNReLU3d",
    "torch.ao.nn.intrinsic.quantized.modules.conv_add": "ConvAdd2d* ConvAddReLU2d*",
    "torch.ao.nn.intrinsic.quantized.modules.conv_relu": "ConvReLU1d* ConvReLU2d* ConvReLU3d*",
    "torch.ao.nn.intrinsic.quantized.modules.linear_relu": "LinearLeakyReLU LinearReLU LinearTanh",
    "torch.ao.nn.qat.dynamic.modules.linear": "Linear",
    "torch.ao.nn.qat.modules.conv": "Conv1d Conv2d Conv3d _ConvNd",
    "torch.ao.nn.qat.modules.embedding_ops": "Embedding",
    "torch.ao.nn.qat.modules.linear": "Linear",
    "torch.ao.nn.quantizable.modules.rnn": "LSTM LSTMCell _LSTMLayer _LSTMSingleLayer",
    "torch.ao.nn.quantized.dynamic.modules.conv": "Conv1d* Conv2d* Conv3d* ConvTranspose1d* ConvTranspose2d* ConvTranspose3d*",
    "torch.ao.nn.quantized.dynamic.modules.linear": "Linear",
    "torch.ao.nn.quantized.dynamic.modules.rnn": "GRU# GRUCell LSTM# LSTMCell PackedParameter RNNBase# RNNCell RNNCellBase",
    "torch.ao.nn.quantized.modules": "DeQuantize Quantize",
    "torch.ao.nn.quantized.modules.activation": "PReLU ReLU6",
    "torch.ao.nn.quantized.modules.batchnorm": "BatchNorm2d BatchNorm3d _BatchNorm",
    "torch.ao.nn.quantized.modules.conv": (
        "Conv1d* Conv2d* Conv3d* ConvTranspose1d* ConvTranspose2d* ConvTranspose3d* _ConvNd* _ConvTransposeNd*"
    ),
    "torch.ao.nn.quantized.modules.embedding_ops": "Embedding EmbeddingBag EmbeddingPackedParams",
    "torch.ao.nn.quantized.modules.functional_modules": "FXFloatFunctional FloatFunctional QFunctional",
    "torch.ao.nn.quantized.modules.linear": "Linear LinearPackedParams",
    "torch.ao.nn.quantized.modules.utils": "WeightedQuantizedModule",
    "torch.ao.nn.quantized.reference.modules.conv": (
        "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d _ConvNd _ConvTransposeNd"
    ),
    "torch.ao.nn.quantized.reference.modules.linear": "Linear",
    "torch.ao.nn.quantized.reference.modules.rnn": "GRU# GRUCell LSTM# LSTMCell RNNBase# RNNCell RNNCellBase",
    "torch.ao.nn.quantized.reference.modules.sparse": "Embedding EmbeddingBag",
    "torch.ao.nn.quantized.reference.modules.utils": "ReferenceQuantizedModule",
    "torch.ao.nn.sparse.quantized.dynamic.linear": "Linear",
    "torch.ao.nn.sparse.quantized.linear": "Linear LinearPackedParams*",
    "torch.ao.quantization._correct_bias": "MeanShadowLogger",
    "torch.ao.quantization._learnable_fake_quantize": "_LearnableFakeQuantize",
    "torch.ao.quantization.backend_config.backend_config": (
        "BackendConfig BackendPatternConfig DTypeConfig DTypeWithConstraints ObservationType="
    ),
    "torch.ao.quantization.fake_quantize": (
        "FakeQuantize FakeQuantizeBase FixedQParamsFakeQuantize FusedMovingAvgObsFakeQuantize"
    ),
    "torch.ao.quantization.fx._equalize": "EqualizationQConfig() _InputEqualizationObserver _WeightEqualizationObserver",
    "torch.ao.quantization.fx.custom_config": (
        "ConvertCustomConfig FuseCustomConfig PrepareCustomConfig StandaloneModuleConfigEntry"
    ),
    "torch.ao.quantization.fx.utils": "ObservedGraphModuleAttrs",
    "torch.ao.quantization.observer": (
        "AffineQuantizedObserverBase FixedQParamsObserver Granularity HistogramObserver MappingType= MinMaxObserver "
        "MovingAverageMinMaxObserver MovingAveragePerChannelMinMaxObserver NoopObserver ObserverBase PerAxis PerBlock "
        "PerChannelMinMaxObserver PerGroup PerTensor PlaceholderObserver RecordingObserver ReuseInputObserver TorchAODType= "
        "UniformQuantizationObserverBase ZeroPointDomain= _PartialWrapper"
    ),
    "torch.ao.quantization.qconfig": "QConfig() QConfigDynamic()",
    "torch.ao.quantization.qconfig_mapping": "QConfigMapping",
    "torch.ao.quantization.quant_type": "QuantType=",
    "torch.ao.quantization.stubs": "DeQuantStub QuantStub QuantWrapper",
    "torch.nn.intrinsic.modules.fused": (
        "BNReLU2d BNReLU3d ConvBn1d ConvBn2d ConvBn3d ConvBnReLU1d ConvBnReLU2d ConvBnReLU3d ConvReLU1d ConvReLU2d ConvReLU3d "
        "LinearReLU _FusedModule"
    ),
    "torch.nn.intrinsic.qat.modules.conv_fused": (
        "ConvBn1d ConvBn2d ConvBn3d ConvBnReLU1d ConvBnReLU2d ConvBnReLU3d ConvReLU1d ConvReLU2d ConvReLU3d _ConvBnNd"
    ),
    "torch.nn.intrinsic.qat.modules.linear_fused": "LinearBn1d",
    "torch.nn.intrinsic.qat.modules.linear_relu": "LinearReLU",
    "torch.nn.intrinsic.quantized._reference.modules.conv_relu": "ConvReLU1d ConvReLU2d ConvReLU3d",
    "torch.nn.intrinsic.quantized._reference.modules.linear_relu": "LinearReLU",
    "torch.nn.intrinsic.quantized.dynamic.modules.linear_relu": "LinearReLU",
    "torch.nn.intrinsic.quantized.modules.bn_relu": "BNReLU2d BNReLU3d",
    "torch.nn.intrinsic.quantized.modules.conv_relu": "ConvReLU1d* ConvReLU2d* ConvReLU3d*",
    "torch.nn.intrinsic.quantized.modules.linear_relu": "LinearReLU",
    "torch.nn.qat.modules.conv": "Conv2d Conv3d",
    "torch.nn.qat.modules.linear": "Linear",
    "torch.nn.quantizable.modules.rnn": "LSTM LSTMCell _LSTMLayer _LSTMSingleLayer",
    "torch.nn.quantized._reference.modules.conv": "Conv1d Conv2d Conv3d _ConvNd",
    "torch.nn.quantized._reference.modules.linear": "Linear",
    "torch.nn.quantized.dynamic.modules.linear": "Linear",
    "torch.nn.quantized.dynamic.modules.rnn": "GRU# GRUCell LSTM# LSTMCell PackedParameter RNNBase# RNNCell RNNCellBase",
    "torch.nn.quantized.modules": "DeQuantize Quantize",
    "torch.nn.quantized.modules.activation": "ReLU6",
    "torch.nn.quantized.modules.conv": (
        "Conv1d* Conv2d* Conv3d* ConvTranspose1d* ConvTranspose2d* ConvTranspose3d* _ConvNd* _ConvTransposeNd*"
    ),
    "torch.nn.quantized.modules.embedding_ops": "Embedding EmbeddingBag EmbeddingPackedParams",
    "torch.nn.quantized.modules.functional_modules": "FXFloatFunctional FloatFunctional QFunctional",
    "torch.nn.quantized.modules.linear": "Linear LinearPackedParams",
    "torch.quantization._correct_bias": "MeanShadowLogger",
    "torch.quantization._learnable_fake_quantize": "_LearnableFakeQuantize",
    "torch.quantization._numeric_suite": "Logger OutputLogger Shadow ShadowLogger",
    "torch.quantization._numeric_suite_fx": "OutputLogger",
    "torch.quantization.fake_quantize": "FakeQuantize FakeQuantizeBase FixedQParamsFakeQuantize",
    "torch.quantization.ns.graph_matcher": "SubgraphTypeRelationship=",
    "torch.quantization.ns.ns_types": "NSSingleResultValuesType=",
    "torch.quantization.ns.utils": "NodeInputOrOutputType=",
    "torch.quantization.observer": (
        "HistogramObserver MinMaxDynamicQuantObserver MinMaxObserver MovingAverageMinMaxObserver "
        "MovingAveragePerChannelMinMaxObserver NoopObserver ObserverBase PerChannelMinMaxObserver PlaceholderObserver "
        "RecordingObserver _ObserverBase _PartialWrapper"
    ),
    "torch.quantization.qconfig": "QConfig() QConfigDynamic()",
    "torch.quantization.quant_type": "QuantType=",
    "torch.quantization.quantize_jit": "QuantType=",
    "torch.quantization.stubs": "DeQuantStub QuantStub QuantWrapper",
}
"""Observers, fake quantizers and quantized layers, which are modules, and their configurations, which are data.
`__setstate__` of a quantized layer packs its weights; `QConfig.__new__` only looks at the types of its arguments."""

OPTIMIZERS = {
    "torch.amp.grad_scaler": "GradScaler OptState= _refresh_per_optimizer_state&",
    "torch.cuda.amp.grad_scaler": "GradScaler OptState= _refresh_per_optimizer_state&",
    "torch.distributed.optim.zero_redundancy_optimizer": "ZeroRedundancyOptimizer#",
    "torch.optim": "Adafactor# Muon#",
    "torch.optim._adafactor": "Adafactor#",
    "torch.optim._multi_tensor.adadelta": "Adadelta#",
    "torch.optim._multi_tensor.adam": "Adam#",
    "torch.optim._multi_tensor.adamax": "Adamax#",
    "torch.optim._multi_tensor.adamw": "AdamW#",
    "torch.optim._multi_tensor.asgd": "ASGD#",
    "torch.optim._multi_tensor.rmsprop": "RMSprop#",
    "torch.optim._multi_tensor.rprop": "Rprop#",
    "torch.optim._multi_tensor.sgd": "SGD#",
    "torch.optim._muon": "Muon#",
    "torch.optim.adadelta": "Adadelta#",
    "torch.optim.adagrad": "Adagrad#",
    "torch.optim.adam": "Adam#",
    "torch.optim.adamax": "Adamax#",
    "torch.optim.adamw": "AdamW#",
    "torch.optim.asgd": "ASGD#",
    "torch.optim.lbfgs": "LBFGS#",
    "torch.optim.lr_scheduler": (
        "ChainedScheduler ConstantLR CosineAnnealingLR CosineAnnealingWarmRestarts CyclicLR CyclicLR._exp_range_scale_fn& "
        "CyclicLR._triangular2_scale_fn& CyclicLR._triangular_scale_fn& ExponentialLR LRScheduler LambdaLR LinearLR "
        "MultiStepLR MultiplicativeLR OneCycleLR PolynomialLR ReduceLROnPlateau SequentialLR StepLR _LRScheduler"
    ),
    "torch.optim.nadam": "NAdam#",
    "torch.optim.optimizer": "Optimizer#",
    "torch.optim.radam": "RAdam#",
    "torch.optim.rmsprop": "RMSprop#",
    "torch.optim.rprop": "Rprop#",
    "torch.optim.sgd": "SGD#",
    "torch.optim.sparse_adam": "SparseAdam#",
    "torch.optim.swa_utils": "AveragedModel SWALR SWALR._cosine_anneal& SWALR._linear_anneal&",
}
"""Optimizers, schedulers and scalers: a `__setstate__` sets the `__dict__`, and adds defaults to the groups of
parameters."""

DISTRIBUTED = {
    "torch.distributed._mesh_layout": "_FlatLayout _MeshLayout",
    "torch.distributed._shard.checkpoint.filesystem": "_StorageInfo _StoragePrefix",
    "torch.distributed._shard.checkpoint.metadata": (
        "BytesStorageMetadata ChunkStorageMetadata Metadata MetadataIndex TensorStorageMetadata"
    ),
    "torch.distributed._shard.checkpoint.planner": (
        "LoadItemType= LoadPlan ReadItem SavePlan TensorWriteData WriteItem WriteItemType="
    ),
    "torch.distributed._shard.checkpoint.storage": "WriteResult",
    "torch.distributed._shard.metadata": "ShardMetadata*",
    "torch.distributed._shard.sharded_tensor.api": "ShardedTensor* ShardedTensor.ProcessGroupState()",
    "torch.distributed._shard.sharded_tensor.metadata": "MEM_FORMAT_ENCODING= ShardedTensorMetadata TensorProperties*",
    "torch.distributed._shard.sharded_tensor.shard": "Shard*",
    "torch.distributed._shard.sharding_spec.api": "DevicePlacementSpec EnumerableShardingSpec",
    "torch.distributed._shard.sharding_spec.chunk_sharding_spec": "ChunkShardingSpec",
    "torch.distributed._tensor": "DTensor&",
    "torch.distributed._tensor.api": "DTensor&",
    "torch.distributed._tensor.device_mesh": "DeviceMesh#",
    "torch.distributed._tensor.placement_types": (
        "DTensorSpec Partial* Placement Replicate* Shard* TensorMeta() _Partial* _StridedShard*"
    ),
    "torch.distributed.algorithms.join": "_JoinConfig()",
    "torch.distributed.checkpoint.filesystem": "SerializationFormat= _StorageInfo _StoragePrefix",
    "torch.distributed.checkpoint.metadata": (
        "BytesStorageMetadata ChunkStorageMetadata Metadata MetadataIndex StorageMeta TensorProperties* TensorStorageMetadata "
        "_MEM_FORMAT_ENCODING="
    ),
    "torch.distributed.checkpoint.planner": (
        "BytesIOWriteData LoadItemType= LoadPlan ReadItem SavePlan TensorWriteData WriteItem WriteItemType="
    ),
    "torch.distributed.checkpoint.state_dict": "StateDictOptions _StateDictInfo",
    "torch.distributed.checkpoint.storage": "WriteResult",
    "torch.distributed.device_mesh": "DeviceMesh#",
    "torch.distributed.fsdp._flat_param": (
        "FlatParamShardMetadata() HandleShardingStrategy= ParamInfo() SharedParamInfo() _ShardParamInfo()"
    ),
    "torch.distributed.fsdp.api": (
        "BackwardPrefetch= CPUOffload FullOptimStateDictConfig FullStateDictConfig LocalOptimStateDictConfig "
        "LocalStateDictConfig MixedPrecision OptimStateDictConfig ShardedOptimStateDictConfig ShardedStateDictConfig "
        "ShardingStrategy= StateDictConfig StateDictSettings StateDictType="
    ),
    "torch.distributed.fsdp.flat_param": (
        "FlatParamShardMetadata() HandleConfig HandleShardingStrategy= HandleTrainingState= ParamInfo() SharedParamInfo()"
    ),
    "torch.distributed.fsdp.fully_sharded_data_parallel": (
        "BackwardPrefetch= CPUOffload FullStateDictConfig FullyShardedDataParallel LocalStateDictConfig MixedPrecision "
        "OptimStateKeyType= ShardedStateDictConfig ShardingStrategy= StateDictConfig StateDictType= TrainingState_= "
        "_ExecOrderWarnStatus="
    ),
    "torch.distributed.remote_device": "_remote_device()",
    "torch.distributed.tensor": "DTensor&",
    "torch.distributed.tensor._api": "DTensor&",
    "torch.distributed.tensor._dtensor_spec": "DTensorSpec ShardOrderEntry() TensorMeta()",
    "torch.distributed.tensor.placement_types": (
        "Partial* Placement Replicate* Shard* _MaskPartial* _Partial* _StridedShard* _StridedShardOffsetMode="
    ),
}
"""What distributed checkpoints, sharded tensors and DTensors consist of: dataclasses, named tuples and enumerations."""

DISTRIBUTIONS = {
    "torch.distributions.bernoulli": "Bernoulli",
    "torch.distributions.beta": "Beta",
    "torch.distributions.binomial": "Binomial",
    "torch.distributions.categorical": "Categorical",
    "torch.distributions.cauchy": "Cauchy",
    "torch.distributions.chi2": "Chi2",
    "torch.distributions.constraints": (
        "Constraint MixtureSameFamilyConstraint _Boolean _Cat _CorrCholesky _Dependent _DependentProperty _GreaterThan "
        "_GreaterThanEq _HalfOpenInterval _IndependentConstraint _IntegerGreaterThan _IntegerInterval _IntegerLessThan "
        "_Interval _LessThan _LowerCholesky _LowerTriangular _Multinomial _OneHot _PositiveDefinite _PositiveSemidefinite "
        "_Real _RealVector _Simplex _Square _Stack _Symmetric"
    ),
    "torch.distributions.continuous_bernoulli": "ContinuousBernoulli",
    "torch.distributions.dirichlet": "Dirichlet",
    "torch.distributions.distribution": "Distribution",
    "torch.distributions.exp_family": "ExponentialFamily",
    "torch.distributions.exponential": "Exponential",
    "torch.distributions.fishersnedecor": "FisherSnedecor",
    "torch.distributions.gamma": "Gamma",
    "torch.distributions.generalized_pareto": "GeneralizedPareto",
    "torch.distributions.geometric": "Geometric",
    "torch.distributions.gumbel": "Gumbel",
    "torch.distributions.half_cauchy": "HalfCauchy",
    "torch.distributions.half_normal": "HalfNormal",
    "torch.distributions.independent": "Independent",
    "torch.distributions.inverse_gamma": "InverseGamma",
    "torch.distributions.kumaraswamy": "Kumaraswamy",
    "torch.distributions.laplace": "Laplace",
    "torch.distributions.lkj_cholesky": "LKJCholesky",
    "torch.distributions.log_normal": "LogNormal",
    "torch.distributions.logistic_normal": "LogisticNormal",
    "torch.distributions.lowrank_multivariate_normal": "LowRankMultivariateNormal",
    "torch.distributions.mixture_same_family": "MixtureSameFamily",
    "torch.distributions.multinomial": "Multinomial",
    "torch.distributions.multivariate_normal": "MultivariateNormal",
    "torch.distributions.negative_binomial": "NegativeBinomial",
    "torch.distributions.normal": "Normal",
    "torch.distributions.one_hot_categorical": "OneHotCategorical OneHotCategoricalStraightThrough",
    "torch.distributions.pareto": "Pareto",
    "torch.distributions.poisson": "Poisson",
    "torch.distributions.relaxed_bernoulli": "LogitRelaxedBernoulli RelaxedBernoulli",
    "torch.distributions.relaxed_categorical": "ExpRelaxedCategorical RelaxedOneHotCategorical",
    "torch.distributions.studentT": "StudentT",
    "torch.distributions.transformed_distribution": "TransformedDistribution",
    "torch.distributions.transforms": (
        "AbsTransform AffineTransform CatTransform ComposeTransform CorrCholeskyTransform CumulativeDistributionTransform "
        "ExpTransform IndependentTransform LowerCholeskyTransform PositiveDefiniteTransform PowerTransform ReshapeTransform "
        "SigmoidTransform SoftmaxTransform SoftplusTransform StackTransform StickBreakingTransform TanhTransform Transform "
        "_InverseTransform"
    ),
    "torch.distributions.uniform": "Uniform",
    "torch.distributions.von_mises": "VonMises",
    "torch.distributions.weibull": "Weibull",
    "torch.distributions.wishart": "Wishart",
}
"""Distributions, transforms and constraints: none has a special method that pickles call."""

OTHERS = {
    "torch._C": (
        "_VariableFunctionsClass& _VariableFunctionsClass.abs& _VariableFunctionsClass.adaptive_avg_pool1d& "
        "_VariableFunctionsClass.add& _VariableFunctionsClass.alpha_dropout& _VariableFunctionsClass.avg_pool1d& "
        "_VariableFunctionsClass.batch_norm& _VariableFunctionsClass.bilinear& _VariableFunctionsClass.bmm& "
        "_VariableFunctionsClass.celu& _VariableFunctionsClass.celu_& _VariableFunctionsClass.channel_shuffle& "
        "_VariableFunctionsClass.clamp& _VariableFunctionsClass.conv1d& _VariableFunctionsClass.conv2d& "
        "_VariableFunctionsClass.conv3d& _VariableFunctionsClass.conv_tbc& _VariableFunctionsClass.conv_transpose1d& "
        "_VariableFunctionsClass.conv_transpose2d& _VariableFunctionsClass.conv_transpose3d& _VariableFunctionsClass.cos& "
        "_VariableFunctionsClass.cosine_similarity& _VariableFunctionsClass.cumsum& _VariableFunctionsClass.div& "
        "_VariableFunctionsClass.dropout& _VariableFunctionsClass.embedding& _VariableFunctionsClass.erf& "
        "_VariableFunctionsClass.exp& _VariableFunctionsClass.feature_dropout& _VariableFunctionsClass.flatten& "
        "_VariableFunctionsClass.group_norm& _VariableFunctionsClass.hardshrink& _VariableFunctionsClass.instance_norm& "
        "_VariableFunctionsClass.layer_norm& _VariableFunctionsClass.log& _VariableFunctionsClass.log_softmax& "
        "_VariableFunctionsClass.logit& _VariableFunctionsClass.matmul& _VariableFunctionsClass.max_pool1d& "
        "_VariableFunctionsClass.max_pool2d& _VariableFunctionsClass.max_pool3d& _VariableFunctionsClass.mean& "
        "_VariableFunctionsClass.mul& _VariableFunctionsClass.pairwise_distance& _VariableFunctionsClass.pdist& "
        "_VariableFunctionsClass.pixel_shuffle& _VariableFunctionsClass.pixel_unshuffle& _VariableFunctionsClass.prelu& "
        "_VariableFunctionsClass.relu& _VariableFunctionsClass.relu_& _VariableFunctionsClass.rms_norm& "
        "_VariableFunctionsClass.rrelu& _VariableFunctionsClass.rrelu_& _VariableFunctionsClass.rsqrt& "
        "_VariableFunctionsClass.selu& _VariableFunctionsClass.selu_& _VariableFunctionsClass.sigmoid& "
        "_VariableFunctionsClass.sigmoid_& _VariableFunctionsClass.sin& _VariableFunctionsClass.sinc& "
        "_VariableFunctionsClass.softmax& _VariableFunctionsClass.sqrt& _VariableFunctionsClass.square& "
        "_VariableFunctionsClass.sub& _VariableFunctionsClass.sum& _VariableFunctionsClass.tanh& "
        "_VariableFunctionsClass.tanh_& _VariableFunctionsClass.threshold& _VariableFunctionsClass.threshold_&"
    ),
    "torch._C._nn": (
        "adaptive_avg_pool2d& adaptive_avg_pool3d& adaptive_max_pool2d& adaptive_max_pool3d& avg_pool2d& avg_pool3d& "
        "binary_cross_entropy& elu& elu_& fractional_max_pool2d& fractional_max_pool3d& gelu& glu& hardsigmoid& hardswish& "
        "hardtanh& hardtanh_& huber_loss& l1_loss& leaky_relu& leaky_relu_& linear& max_pool2d_with_indices& "
        "max_pool3d_with_indices& max_unpool2d& max_unpool3d& mish& mse_loss& multi_margin_loss& multilabel_margin_loss& "
        "nll_loss& one_hot& pad& relu6& scaled_dot_product_attention& silu& smooth_l1_loss& soft_margin_loss& softplus& "
        "softshrink&"
    ),
    "torch.nn.functional": (
        "adaptive_avg_pool2d& adaptive_avg_pool3d& adaptive_max_pool1d& adaptive_max_pool1d_with_indices& "
        "adaptive_max_pool2d& adaptive_max_pool2d_with_indices& adaptive_max_pool3d& adaptive_max_pool3d_with_indices& "
        "affine_grid& alpha_dropout& batch_norm& binary_cross_entropy& binary_cross_entropy_with_logits& celu& "
        "cosine_embedding_loss& cross_entropy& ctc_loss& dropout& dropout1d& dropout2d& dropout3d& elu& embedding& "
        "embedding_bag& feature_alpha_dropout& fold& fractional_max_pool2d& fractional_max_pool2d_with_indices& "
        "fractional_max_pool3d& fractional_max_pool3d_with_indices& gaussian_nll_loss& glu& grid_sample& group_norm& "
        "grouped_mm& gumbel_softmax& hardsigmoid& hardswish& hardtanh& hinge_embedding_loss& huber_loss& instance_norm& "
        "interpolate& kl_div& l1_loss& layer_norm& leaky_relu& linear_cross_entropy& local_response_norm& log_softmax& "
        "lp_pool1d& lp_pool2d& lp_pool3d& margin_ranking_loss& max_pool1d& max_pool1d_with_indices& max_pool2d& "
        "max_pool2d_with_indices& max_pool3d& max_pool3d_with_indices& max_unpool1d& max_unpool2d& max_unpool3d& mish& "
        "mse_loss& multi_margin_loss& multilabel_margin_loss& multilabel_soft_margin_loss& nll_loss& normalize& pad& "
        "poisson_nll_loss& relu& relu6& rms_norm& rrelu& scaled_grouped_mm& scaled_mm& selu& sigmoid& silu& smooth_l1_loss& "
        "soft_margin_loss& softmax& softmin& softsign& tanh& tanhshrink& threshold& triplet_margin_loss& unfold& upsample& "
        "upsample_bilinear& upsample_nearest&"
    ),
    "torch.nn.init": (
        "calculate_gain& constant& constant_& dirac& dirac_& eye& eye_& kaiming_normal& kaiming_normal_& kaiming_uniform& "
        "kaiming_uniform_& normal& normal_& ones_& orthogonal& orthogonal_& sparse& sparse_& trunc_normal_& uniform& "
        "uniform_& xavier_normal& xavier_normal_& xavier_uniform& xavier_uniform_& zeros_&"
    ),
    "torch.return_types": (
        "_attr[] _fake_quantize_per_tensor_affine_cachemask_tensor_qparams[] _fused_moving_avg_obs_fq_helper[] _linalg_det[] "
        "_linalg_det_out[] _linalg_eigh[] _linalg_eigh_out[] _linalg_slogdet[] _linalg_slogdet_out[] _linalg_solve_ex[] "
        "_linalg_solve_ex_out[] _linalg_svd[] _linalg_svd_out[] _lu_with_info[] _scaled_dot_product_cudnn_attention[] "
        "_scaled_dot_product_efficient_attention[] _scaled_dot_product_flash_attention[] "
        "_scaled_dot_product_flash_attention_for_cpu[] _unpack_dual[] aminmax[] aminmax_out[] cummax[] cummax_out[] cummin[] "
        "cummin_out[] frexp[] frexp_out[] geqrf[] geqrf_out[] histogram[] histogram_out[] histogramdd[] kthvalue[] "
        "kthvalue_out[] linalg_cholesky_ex[] linalg_cholesky_ex_out[] linalg_eig[] linalg_eig_out[] linalg_eigh[] "
        "linalg_eigh_out[] linalg_inv_ex[] linalg_inv_ex_out[] linalg_ldl_factor[] linalg_ldl_factor_ex[] "
        "linalg_ldl_factor_ex_out[] linalg_ldl_factor_out[] linalg_lstsq[] linalg_lstsq_out[] linalg_lu[] linalg_lu_factor[] "
        "linalg_lu_factor_ex[] linalg_lu_factor_ex_out[] linalg_lu_factor_out[] linalg_lu_out[] linalg_qr[] linalg_qr_out[] "
        "linalg_slogdet[] linalg_slogdet_out[] linalg_solve_ex[] linalg_solve_ex_out[] linalg_svd[] linalg_svd_out[] "
        "lu_unpack[] lu_unpack_out[] max[] max_out[] median[] median_out[] min[] min_out[] mode[] mode_out[] nanmedian[] "
        "nanmedian_out[] qr[] qr_out[] slogdet[] slogdet_out[] sort[] sort_out[] svd[] svd_out[] topk[] topk_out[] "
        "triangular_solve[] triangular_solve_out[]"
    ),
    "torch.testing._internal.two_tensor": "TwoTensor&",
    "torch.utils.data._utils.collate": "default_collate& default_convert&",
    "torch.utils.data.dataloader": "DataLoader",
    "torch.utils.data.dataset": "ChainDataset ConcatDataset Dataset IterableDataset StackDataset Subset TensorDataset",
    "torch.utils.data.distributed": "DistributedSampler",
    "torch.utils.data.sampler": (
        "BatchSampler RandomSampler Sampler SequentialSampler SubsetRandomSampler WeightedRandomSampler"
    ),
    "torch.utils.hooks": "RemovableHandle*",
}
"""Data sets and samplers, without those that read streams or run functions, results of torch's functions, and pure
functions."""

TABLES = (MODULES, QUANTIZATION, OPTIMIZERS, DISTRIBUTED, DISTRIBUTIONS, OTHERS)

SUFFIXES = ("", "*", "#", "=", "()", "[]", "&")


def suffix_of(module: str, name: str) -> str | None:
    """What follows a name in the tables; None where it is not there."""
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    names = next((table[module] for table in TABLES if module in table), "").split()
    return next((suffix for suffix in SUFFIXES if f"{name}{suffix}" in names), None)
