public import AngelCore

/// Which layers get a low-rank adapter, and how it is shaped (arXiv:2106.09685).
public struct LoRAConfiguration: Configurable, Hashable {
  public var rank = 16
  /// Adapters are scaled by alpha / rank.
  public var alpha = 32.0
  /// Names of layers, as Hugging Face files have them or as paths here end.
  public var targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

  /// A folder of adapters to begin from, whose rank, alpha and targets are taken; nothing: new ones.
  public var from: String?

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("rank", \.rank, in: 1...4096, "rows of A and columns of B"),
    .value("alpha", \.alpha, in: 1e-6...1e6, "adapters are scaled by alpha / rank"),
    .value("targets", \.targets, "names of linear layers, such as q_proj or down_proj"),
    .value("from", \.from, "a PEFT folder to begin from, with its rank, alpha and targets; null: new adapters"),
  ]

  public var scale: Float { Float(alpha / Double(rank)) }
}
