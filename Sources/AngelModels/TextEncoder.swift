public import AngelCheckpoint
public import AngelNN
public import AngelTensor

/// A bidirectional model of text: tokens in, a hidden state for each of them out, every one of its own sequence seen.
///
/// Beside `LanguageModel`: it has no cache, no next token and no head.
public protocol TextEncoder: Module {
  associatedtype Configuration: TextEncoderConfiguration

  /// The model with parameters that have no values yet.
  init(_ configuration: Configuration)

  /// The configuration of a checkpoint; throws naming the field that cannot be used.
  static func configuration(of checkpoint: Checkpoint) throws -> Configuration
  /// The names of the parameters in files.
  static func names(for configuration: Configuration) -> NameTable
  /// Which parameters split along which mesh axis.
  static var parallelPlan: ParallelPlan { get }

  var configuration: Configuration { get }

  /// Final hidden states of sequences laid end to end, none longer than the context: [R] int32 tokens → [R, width].
  func callAsFunction(_ tokens: Tensor, _ segments: Segments) -> Tensor
}

/// What an engine needs to know of any encoder.
public protocol TextEncoderConfiguration: TextModelConfiguration, Codable, Equatable, Sendable {
  /// Width of the hidden states.
  var hiddenSize: Int { get }
}
