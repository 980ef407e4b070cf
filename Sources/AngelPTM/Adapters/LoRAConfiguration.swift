public import AngelCore

/// Which layers get a low-rank adapter, and how it is shaped (arXiv:2106.09685).
public struct LoRAConfiguration: Configurable, Hashable {
  public var rank = 16
  /// Adapters are scaled by alpha / rank.
  public var alpha = 32.0
  /// Names of layers, as Hugging Face files have them or as paths here end.
  public var targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

  /// Whether adapters are scaled by alpha / √rank instead (rsLoRA, arXiv:2312.03732), so that rank and rate go
  /// together.
  public var rslora = false
  /// Whether the lengths of the adapted weight's rows are learnt too (DoRA, arXiv:2402.09353).
  public var dora = false
  /// How many times the learning rate B takes (LoRA+, arXiv:2402.12354, which recommends 16); 1: the same.
  public var plusRatio = 1.0

  /// What the frozen layers are held in (QLoRA, arXiv:2305.14314, with the block formats of GGUF); nothing: as the file has them.
  public var quantize: Format?

  /// Block formats that values can be rounded to.
  public enum Format: String, ConfigurationChoice {
    case q4_0, q4_1, q5_0, q5_1, q8_0

    var dtype: DType {
      switch self {
      case .q4_0: .q4_0
      case .q4_1: .q4_1
      case .q5_0: .q5_0
      case .q5_1: .q5_1
      case .q8_0: .q8_0
      }
    }
  }

  /// A folder of adapters to begin from, whose rank, alpha and targets are taken; nothing: new ones.
  public var from: String?

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("rank", \.rank, in: 1...4096, "rows of A and columns of B"),
    .value("alpha", \.alpha, in: 1e-6...1e6, "adapters are scaled by alpha / rank"),
    .value("targets", \.targets, "names of linear layers, such as q_proj or down_proj"),
    .value("rslora", \.rslora, "scale by alpha / root of rank instead (rsLoRA)"),
    .value("dora", \.dora, "learn the lengths of the weights' rows too (DoRA)"),
    .value("plus_ratio", \.plusRatio, in: 1e-3...1e3, "how many times the learning rate B takes (LoRA+; 16 is usual)"),
    .value("quantize", \.quantize, "q4_0, q4_1, q5_0, q5_1 or q8_0 for the frozen layers; null: as the file has them"),
    .value("from", \.from, "a PEFT folder to begin from, shaped as it is; null: new adapters"),
  ]

  public var scale: Float { Float(alpha / (rslora ? Double(rank).squareRoot() : Double(rank))) }
}
