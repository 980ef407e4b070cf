public import AngelCore

/// What a run writes, and when.
public struct OutputConfiguration: Configurable, Hashable {
  /// The run's folder.
  public var folder = "runs/latest"
  /// Steps between checkpoints; nothing: only at the end.
  public var saveEvery: Int?
  /// Checkpoints that are kept.
  public var keep = 2
  /// Steps between validations; nothing: only at the end.
  public var validateEvery: Int?
  /// Batches of a validation, at most.
  public var validationBatches = 20
  /// Prompts that are continued, or in fine-tuning questions that are answered, at each validation.
  public var samples: [String] = []
  /// Tokens of such a continuation.
  public var sampleTokens = 64
  /// How freely it is drawn; 0 takes the likeliest token each time.
  public var sampleTemperature = 0.0
  /// The type of the model that is written at the end.
  public var type = WeightType.float32

  /// Types of weights in files.
  public enum WeightType: String, ConfigurationChoice {
    case float32, bfloat16, float16

    public var dtype: DType {
      switch self {
      case .float32: .float32
      case .bfloat16: .bfloat16
      case .float16: .float16
      }
    }
  }

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("folder", \.folder, "the run's folder"),
    .value("save_every", \.saveEvery, in: 1...1_000_000_000, "steps between checkpoints; null: only at the end"),
    .value("keep", \.keep, in: 1...1000, "checkpoints that are kept"),
    .value(
      "validate_every", \.validateEvery, in: 1...1_000_000_000, "steps between validations; null: only at the end"),
    .value("validation_batches", \.validationBatches, in: 1...1_000_000, "batches of a validation, at most"),
    .value("samples", \.samples, "prompts to continue (stage sft: questions to answer) at each validation"),
    .value("sample_tokens", \.sampleTokens, in: 1...100_000, "tokens of such a continuation"),
    .value("sample_temperature", \.sampleTemperature, in: 0...10, "how freely it is drawn; 0: the likeliest tokens"),
    .value("type", \.type, "float32, bfloat16 or float16: of the model written at the end"),
  ]
}
