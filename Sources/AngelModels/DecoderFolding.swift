import AngelNN

extension FoldingPlan {
  /// The folds of decoders whose blocks normalise before attention and before the feed-forward layer: norms into what reads
  /// them, values into the layer after attention, and of a gated layer the half that no function is applied to into the last.
  static let gatedDecoder = FoldingPlan(
    attention + [
      Fold(["blocks.*.feedForward.gate", "blocks.*.feedForward.up"], from: .norm("blocks.*.feedForwardNorm")),
      Fold(["blocks.*.feedForward.down"], from: .outputs("blocks.*.feedForward.up")),
    ])

  /// The same with a feed-forward layer without a gate, whose inner features go through a function and cannot be divided.
  static let decoder = FoldingPlan(
    attention + [Fold(["blocks.*.feedForward.up"], from: .norm("blocks.*.feedForwardNorm"))])

  private static let attention = [
    Fold(["query", "key", "value"].map { "blocks.*.attention." + $0 }, from: .norm("blocks.*.attentionNorm")),
    Fold(["blocks.*.attention.output"], from: .values("blocks.*.attention.value")),
  ]
}
