/// How low-rank adapters are shaped, and beside which layers they stand (arXiv:2106.09685, §4.1).
public struct AdapterShape: Sendable, Hashable {
  /// Rows of A and columns of B.
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

  public init() {}

  public var scale: Float { Float(alpha / (rslora ? Double(rank).squareRoot() : Double(rank))) }
}
