import AngelCore
import AngelNN
import AngelTensor

/// A decoder with grouped queries and rotary positions, as far as its sizes can be wrong whatever the file says.
protocol RotaryDecoderConfiguration: LanguageModelConfiguration {
  var headCount: Int { get }
  var keyValueHeadCount: Int { get }
  var headSize: Int { get }
  var normEpsilon: Float { get }
  var rotaryBase: Float { get }
  var rotaryScaling: RotaryScaling { get }
}

extension RotaryDecoderConfiguration {
  /// Throws for sizes that no kernel, cache or arithmetic could work with.
  func check(path: String) throws(ModelError) {
    func require(_ holds: Bool, _ field: String, _ value: some Any, _ rule: String) throws(ModelError) {
      guard holds else { throw .invalid(field: field, value: "\(value)", rule: rule, path: path) }
    }
    try require((1...1 << 24).contains(vocabularySize), "the vocabulary", vocabularySize, "1 to 16777216 are possible")
    try require(
      headCount % keyValueHeadCount == 0, "the number of key-value heads", keyValueHeadCount,
      "it must divide \(headCount)")
    try require(headSize % 2 == 0, "the head size", headSize, "rotary pairs need it even")
    try require(normEpsilon >= 0, "the epsilon of the norms", normEpsilon, "it must be 0 or more")
    try require(rotaryBase >= 1, "the rotary base", rotaryBase, "it must be 1 or more")
    // 1 GiB a token in float32 is far beyond any model, and keeps all sizes of caches countable.
    let (geometry, limit) = (cacheGeometry, 1 << 28)
    let elements = geometry.layerCount * geometry.keyValueHeadCount * geometry.headSize
    try require(elements <= limit, "the cache of a token", "\(elements) elements", "at most \(limit) are possible")
    try checkRotation(path: path)
  }

  /// The frequencies themselves, since scalings can spoil them in many ways.
  private func checkRotation(path: String) throws(ModelError) {
    let rotary = RotaryEmbedding(size: headSize, base: rotaryBase, scaling: rotaryScaling)
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
