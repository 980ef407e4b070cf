public import AngelCheckpoint
public import AngelNN
public import AngelTensor

/// A causal language model: tokens in, hidden states out, logits on request.
///
/// A model is written once, for one device and dense weights; loading, quantised weights, serving and later training
/// come from its parameters, its name table and its parallel plan.
public protocol LanguageModel: Module {
  associatedtype Configuration: LanguageModelConfiguration

  /// The model with parameters that have no values yet.
  init(_ configuration: Configuration)

  /// The configuration of a checkpoint in either layout; throws naming the field that cannot be used.
  static func configuration(of checkpoint: Checkpoint) throws -> Configuration
  /// The names of the parameters in files.
  static func names(for configuration: Configuration) -> NameTable
  /// Which parameters split along which mesh axis.
  static var parallelPlan: ParallelPlan { get }
  /// Where inputs of layers can be scaled at no cost; nil, as it is unless said: nowhere.
  static var foldingPlan: FoldingPlan? { get }

  var configuration: Configuration { get }

  /// Final hidden states, normalised: [R] int32 tokens → [R, width].
  func callAsFunction(_ tokens: Tensor, _ context: ForwardContext) -> Tensor
  /// The scores of every vocabulary entry: [R, width] → [R, vocabulary].
  func logits(of hidden: Tensor) -> Tensor
  /// The cross-entropy of the logits of these hidden states [R, width], summed over the rows with their weights: a scalar.
  func crossEntropy(of hidden: Tensor, _ targets: PredictionTargets) -> Tensor
}

extension LanguageModel {
  public static var foldingPlan: FoldingPlan? { nil }

  public func crossEntropy(of hidden: Tensor, _ targets: PredictionTargets) -> Tensor {
    logits(of: hidden).crossEntropy(targets)
  }
}

/// A language model whose logits are the outputs of one layer: in training they are never stored whole.
public protocol LinearHeadModel: LanguageModel {
  var outputHead: Linear { get }
}

extension LinearHeadModel {
  public func logits(of hidden: Tensor) -> Tensor { outputHead(hidden) }

  public func crossEntropy(of hidden: Tensor, _ targets: PredictionTargets) -> Tensor {
    outputHead.crossEntropy(hidden, targets)
  }
}

/// What the engine needs to know of any language model.
public protocol LanguageModelConfiguration: TextModelConfiguration, Codable, Equatable, Sendable {
  /// Width of the residual stream.
  var hiddenSize: Int { get }
  var cacheGeometry: CacheGeometry { get }
  /// How rotary frequencies are stretched.
  var rotaryScaling: RotaryScaling { get }
}
