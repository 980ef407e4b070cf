public import AngelCore
public import AngelModels

/// Which layers get a low-rank adapter, and how it is shaped (arXiv:2106.09685).
public struct LoRAConfiguration: Configurable, Hashable {
  /// Rank, scale and layers.
  public var shape = AdapterShape()
  /// How many times the learning rate B takes (LoRA+, arXiv:2402.12354, which recommends 16); 1: the same.
  public var plusRatio = 1.0

  /// What the frozen layers are held in (QLoRA, arXiv:2305.14314, with the block formats of GGUF); nothing: as the file has them.
  public var quantize: BlockFormat?

  /// A folder of adapters to begin from, whose rank, alpha and targets are taken; nothing: new ones.
  public var from: String?

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("rank", \.shape.rank, in: 1...4096, "rows of A and columns of B"),
    .value("alpha", \.shape.alpha, in: 1e-6...1e6, "adapters are scaled by alpha / rank"),
    .value("targets", \.shape.targets, "names of linear layers, such as q_proj or down_proj"),
    .value("rslora", \.shape.rslora, "scale by alpha / root of rank instead (rsLoRA)"),
    .value("dora", \.shape.dora, "learn the lengths of the weights' rows too (DoRA)"),
    .value("plus_ratio", \.plusRatio, in: 1e-3...1e3, "how many times the learning rate B takes (LoRA+; 16 is usual)"),
    .value("quantize", \.quantize, "a block format, q4_0 to q6_k, for the frozen layers; null: the file's own"),
    .value("from", \.from, "a PEFT folder to begin from, shaped as it is; null: new adapters"),
  ]
}
