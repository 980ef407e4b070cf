public import AngelCore

/// What is asked of the routers of a model with experts, beside the model's loss (`RouterRegularizer`).
public struct ExpertConfiguration: Configurable, Hashable {
  /// The weight of the loss that spreads rows over experts, a layer (arXiv:2101.03961, §2.2).
  public var balance = 0.01
  /// The weight of the loss that keeps routers' scores small, a layer (arXiv:2202.08906, eq. 5).
  public var z = 0.001

  public init() {}

  /// Nothing asked.
  static var none: Self {
    var result = Self()
    (result.balance, result.z) = (0, 0)
    return result
  }

  public static let fields: [ConfigurationField<Self>] = [
    .value("balance", \.balance, in: 0...1000, "weight of the loss that spreads tokens over experts; 0: none"),
    .value("z", \.z, in: 0...1000, "weight of the loss that keeps routers' scores small; 0: none"),
  ]
}
