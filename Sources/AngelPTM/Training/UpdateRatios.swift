import AngelCore
import AngelNN
import AngelTensor

/// How far a step has moved the weights, as a share of their size: about 1e-3 where a learning rate suits a model, much
/// more where it will break, next to nothing where a step has no effect.
public struct UpdateRatios: Sendable, Hashable {
  /// A layer or another part of the model, by the first words of its parameters' paths.
  public struct Group: Sendable, Hashable {
    public let name: String
    var changeSquares = 0.0
    var weightSquares = 0.0

    /// ‖change‖ / ‖weights before‖
    public var ratio: Double { (changeSquares / max(weightSquares, 1e-300)).squareRoot() }
  }

  /// In the order of the model.
  public private(set) var groups: [Group] = []

  /// - Parameter paths: of the parameters that will be measured, in the order of the model.
  init(of paths: [String]) {
    for name in paths.map(Self.group) where !groups.contains(where: { $0.name == name }) {
      groups.append(Group(name: name))
    }
  }

  /// Of all parameters together.
  public var overall: Double {
    let change = groups.reduce(0) { $0 + $1.changeSquares }
    return (change / max(groups.reduce(0) { $0 + $1.weightSquares }, 1e-300)).squareRoot()
  }

  /// Calls `change`, which is to update `parameter`, and measures what it does: this process's share of it, where several
  /// make the same change.
  mutating func measure(
    _ parameter: Parameter, path: String, changers: Int, _ change: () throws -> Void
  ) throws {
    let before = parameter.trainedValues?.values.copied()
    try change()
    guard let before, let after = parameter.trainedValues?.values else { return }
    let (moved, size) = (try GradientNorm.of([after - before]), try GradientNorm.of([before]))
    let name = Self.group(of: path)
    guard let place = groups.firstIndex(where: { $0.name == name }) else { return }
    groups[place].changeSquares += moved * moved / Double(changers)
    groups[place].weightSquares += size * size / Double(changers)
  }

  /// Adds what other processes have measured, each of what it changed; `sum` sums numbers over the processes.
  mutating func complete(_ sum: ([Double]) throws -> [Double]) rethrows {
    let sums = try sum(groups.flatMap { [$0.changeSquares, $0.weightSquares] })
    for place in groups.indices {
      groups[place].changeSquares = sums[2 * place]
      groups[place].weightSquares = sums[2 * place + 1]
    }
  }

  /// `blocks.3.attention.query.weight` → `blocks.3`, `embedding.weight` → `embedding`.
  static func group(of path: String) -> String {
    let words = path.split(separator: ".")
    let isNumbered = words.count > 1 && words[1].utf8.allSatisfy { (0x30...0x39).contains($0) }
    return words.prefix(isNumbered ? 2 : 1).joined(separator: ".")
  }

  var json: JSONValue { .object(JSONObject(groups.map { ($0.name, .number($0.ratio)) })) }
}
