import AngelNN

/// Where adapters can stand in a model.
package enum AdapterPlacement {
  /// Why adapters cannot stand beside exactly the linear layers at `paths`; nil when they can.
  package static func problem(_ paths: [String], dora: Bool, in model: some LanguageModel) -> String? {
    var shares: [String: Double] = [:]
    var copy = model
    copy.visitLinearLayers { path, linear in shares[path] = linear.weight.tokenShare }
    // The product of a layer's experts takes A and B of each, but no lengths of rows.
    if dora, let expert = paths.first(where: { shares[$0, default: 1] < 1 }) {
      return "DoRA cannot stand beside experts such as \(expert)"
    }
    // The experts of a layer are one product: adapters stand beside all of them or none.
    let counts = Dictionary(grouping: shares.keys.compactMap(family)) { $0 }.mapValues(\.count)
    let adapted = Dictionary(grouping: paths.compactMap(family)) { $0 }.mapValues(\.count)
    for (family, own) in adapted.sorted(by: { $0.key < $1.key }) where own != counts[family] {
      return
        "\(own) of the \(counts[family] ?? 0) experts in '\(family)' are named: name all experts of a layer or none"
    }
    return nil
  }

  /// The path of an expert's layer without the expert's number; nil for other layers.
  private static func family(_ path: String) -> String? {
    guard let range = path.firstRange(of: ".experts.") else { return nil }
    return path[..<range.upperBound] + String(path[range.upperBound...].drop { $0 != "." })
  }
}
