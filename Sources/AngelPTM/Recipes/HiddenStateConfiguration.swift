public import AngelCore

/// Learning what a teacher's layers hand on, beside what it says (arXiv:1909.10351, §3.1).
public struct HiddenStateConfiguration: Configurable, Hashable {
  /// How two hidden states are compared.
  public enum Distance: String, ConfigurationChoice {
    /// The mean of squared differences.
    case mse
    /// One less the cosine of the angle between them (arXiv:1910.01108, §3).
    case cosine
  }

  /// What the layers' loss is multiplied by before it is added to the rest.
  public var weight = 1.0
  public var distance = Distance.mse
  /// Pairs `model:teacher` of layers, counted from 1; nothing: every layer of the model, the teacher's evenly spaced.
  public var layers: [String] = []

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("weight", \.weight, in: 0...1e6, "what the layers' loss is multiplied by before it is added"),
    .value("distance", \.distance, "mse: mean squared difference; cosine: one less the cosine"),
    .value("layers", \.layers, "pairs such as 3:6, the model's layer and the teacher's; none: all, evenly spaced"),
  ]

  public func problems() -> [String] {
    layers.filter { Self.pair($0) == nil }.map {
      "distill.hidden.layers has \(quoted($0)): write the model's layer and the teacher's, such as 3:6"
    }
  }

  /// The pairs for models of so many layers, counted from 0: what each of the model's layers learns from.
  func pairs(layerCount: Int, teacherLayerCount: Int) throws(PTMError) -> [(own: Int, teacher: Int)] {
    guard !layers.isEmpty else {
      // Layer m of M learns from m · N / M of N, so the last from the last (arXiv:1909.10351, §4.1).
      return (1...max(1, layerCount)).map {
        (own: $0 - 1, teacher: max(1, ($0 * teacherLayerCount + layerCount / 2) / layerCount) - 1)
      }
    }
    var pairs: [(own: Int, teacher: Int)] = []
    for text in layers {
      guard let (own, teacher) = Self.pair(text) else { continue }
      guard own <= layerCount, teacher <= teacherLayerCount else {
        throw PTMError.recipe(
          "distill.hidden.layers has \(text), but the model has \(layerCount) layers and the teacher \(teacherLayerCount)"
        )
      }
      pairs.append((own - 1, teacher - 1))
    }
    return pairs
  }

  private static func pair(_ text: String) -> (own: Int, teacher: Int)? {
    let numbers = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
    guard numbers.count == 2, let own = numbers[0], let teacher = numbers[1], own > 0, teacher > 0 else { return nil }
    return (own, teacher)
  }
}
