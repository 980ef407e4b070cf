import AngelCore
import AngelNN
import AngelTensor

/// A decoder, as far as its sizes can be wrong whatever the file says.
protocol DecoderConfiguration: LanguageModelConfiguration {
  var headCount: Int { get }
  var keyValueHeadCount: Int { get }
  var headSize: Int { get }
  var normEpsilon: Float { get }
  /// What queries and keys are rotated by, in any of the layers.
  var rotations: [RotaryEmbedding] { get }
}

/// A decoder all of whose layers rotate whole heads alike.
protocol RotaryDecoderConfiguration: DecoderConfiguration {
  var rotaryBase: Float { get }
}

extension RotaryDecoderConfiguration {
  var rotations: [RotaryEmbedding] { [RotaryEmbedding(size: headSize, base: rotaryBase, scaling: rotaryScaling)] }
}

extension DecoderConfiguration {
  /// Throws for sizes that no kernel, cache or arithmetic could work with.
  func check(path: String) throws(ModelError) {
    func require(_ holds: Bool, _ field: String, _ value: some Any, _ rule: String) throws(ModelError) {
      guard holds else { throw .invalid(field: field, value: "\(value)", rule: rule, path: path) }
    }
    try require((1...1 << 24).contains(vocabularySize), "the vocabulary", vocabularySize, "1 to 16777216 are possible")
    try require(
      headCount % keyValueHeadCount == 0, "the number of key-value heads", keyValueHeadCount,
      "it must divide \(headCount)")
    // What kernels have room for (ANGEL_HEAD_SIZE_LIMIT).
    try require((1...8192).contains(headSize), "the head size", headSize, "1 to 8192 are possible")
    try require(normEpsilon >= 0, "the epsilon of the norms", normEpsilon, "it must be 0 or more")
    for rotary in rotations {
      try require(rotary.size % 2 == 0, "the head size", rotary.size, "rotary pairs need it even")
      try require(rotary.base >= 1, "the rotary base", rotary.base, "it must be 1 or more")
    }
    // 1 GiB a token in float32 is far beyond any model, and keeps all sizes of caches countable.
    let (geometry, limit) = (cacheGeometry, 1 << 28)
    let elements = geometry.layerCount * geometry.keyValueHeadCount * geometry.headSize
    try require(elements <= limit, "the cache of a token", "\(elements) elements", "at most \(limit) are possible")
    for rotary in rotations { try check(rotary, path: path) }
  }

  /// The frequencies themselves, since scalings can spoil them in many ways.
  private func check(_ rotary: RotaryEmbedding, path: String) throws(ModelError) {
    for length in [1, contextLength] {
      for (pair, frequency) in rotary.inverseFrequencies(forLength: length).enumerated() {
        // Times the last position it must stay finite.
        guard frequency.magnitude <= 1e6 else {
          throw .invalid(
            field: "the rotary frequency of pair \(pair)", value: "\(frequency)",
            rule: "it must be at most 1e6: the base or the scaling is wrong", path: path)
        }
      }
    }
    guard rotary.attentionFactor > 0, rotary.attentionFactor <= 1e6 else {
      throw .invalid(
        field: "the rotary attention factor", value: "\(rotary.attentionFactor)",
        rule: "it must be above 0, at most 1e6",
        path: path)
    }
  }
}
