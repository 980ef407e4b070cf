import AngelCheckpoint
import AngelCore
import AngelNN

extension NameTable {
  /// The experts of every block: a tensor each in Hugging Face folders, or stacked with gate and up one below the other as
  /// transformers 5 holds them; stacked in GGUF files.
  static let experts: [Entry] = [
    expert("gate", "gate_proj", "gate", Stack("gate_up_proj", share: 0, of: 2)),
    expert("up", "up_proj", "up", Stack("gate_up_proj", share: 1, of: 2)),
    expert("down", "down_proj", "down", Stack("down_proj")),
  ]

  private static func expert(_ name: String, _ huggingFace: String, _ gguf: String, _ stack: Stack) -> Entry {
    let prefix = "model.layers.*.mlp.experts."
    return Entry(
      "blocks.*.feedForward.experts.*.\(name).weight", huggingFace: prefix + "*.\(huggingFace).weight",
      gguf: "blk.*.ffn_\(gguf)_exps.weight",
      huggingFaceStack: Stack(prefix + stack.name, share: stack.share, of: stack.shareCount))
  }
}

extension MixtureOfExperts.Shape {
  /// Throws for sizes that no router or no machine could work with; `blocks` has one shape a block.
  static func check(_ blocks: [MixtureOfExperts.Shape], path: String) throws(ModelError) {
    func require(_ holds: Bool, _ field: String, _ value: Int, _ rule: String) throws(ModelError) {
      guard holds else { throw .invalid(field: field, value: "\(value)", rule: rule, path: path) }
    }
    for shape in blocks {
      let most = min(shape.expertCount, 256)
      try require(
        shape.expertsPerToken <= most, "the number of experts a token uses", shape.expertsPerToken,
        "it must be at most \(most)")
    }
    // Every expert is a few objects before a byte of its weights is read.
    let count = blocks.reduce(0) { $0 + $1.expertCount }
    try require(count <= 1 << 17, "the number of experts of all layers", count, "at most \(1 << 17) are possible")
  }
}
