import AngelCore

extension [Bool] {
  /// The smallest n for which every n-th layer is false and all others are true, one more than there are layers where none is
  /// false; nil where the layers follow no such pattern.
  var periodOfFalse: Int? {
    (1...count + 1).first { number in indices.allSatisfy { self[$0] == (($0 + 1) % number != 0) } }
  }

  /// `layer_types` in config.json: true stands for a layer with a window.
  var layerTypes: JSONValue { .array(map { $0 ? "sliding_attention" : "full_attention" }) }
}
