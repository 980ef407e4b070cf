public import AngelCore
public import AngelNN
public import AngelTensor

/// A rule that changes parameters by their gradients, with what it remembers of each.
public protocol Optimizer: AnyObject {
  /// Changes one parameter.
  ///
  /// - Parameters:
  ///   - gradientScale: multiplies the gradient first; what clipping leaves.
  ///   - step: steps taken, this one included.
  func update(
    _ parameter: Parameter, path: String, gradient: Tensor, gradientScale: Float, learningRate: Float, step: Int)
  /// What is remembered, by a name that ends with the parameter's path.
  var states: [String: OptimizerState] { get }
  /// Makes the states of a parameter that has had no step, so that a checkpoint can be restored into them.
  func prepare(_ parameter: Parameter, path: String)
}

/// Which optimizer, and its numbers.
public struct OptimizerConfiguration: Configurable, Hashable {
  /// The rules there are.
  public enum Rule: String, ConfigurationChoice { case adamw, sgd }

  public var rule = Rule.adamw
  /// The highest learning rate, that of the schedule's plateau.
  public var learningRate = 3e-4
  public var weightDecay = 0.1
  public var beta1 = 0.9
  public var beta2 = 0.95
  public var epsilon = 1e-8
  /// Of SGD.
  public var momentum = 0.9
  /// The greatest norm that all gradients together may have; nothing: no limit.
  public var clip: Double? = 1.0

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("rule", \.rule, "adamw or sgd"),
    .value("learning_rate", \.learningRate, in: 0...100, "the highest learning rate"),
    .value("weight_decay", \.weightDecay, in: 0...10, "decoupled decay of matrices; vectors are never decayed"),
    .value("beta1", \.beta1, in: 0...0.999999, "decay of AdamW's first moment"),
    .value("beta2", \.beta2, in: 0...0.999999, "decay of AdamW's second moment"),
    .value("epsilon", \.epsilon, in: 0...1, "added to the root of AdamW's second moment"),
    .value("momentum", \.momentum, in: 0...0.999999, "of SGD"),
    .value("clip", \.clip, in: 0...1e9, "the greatest norm of all gradients together; null for no limit"),
  ]

  /// The optimizer, without any memory yet.
  public func makeOptimizer(on backend: any Backend) -> any Optimizer {
    switch rule {
    case .adamw: AdamW(self, on: backend)
    case .sgd: SGD(self, on: backend)
    }
  }

  /// Decay pulls matrices toward zero; norms and biases are no matrices and have nothing to gain by it.
  func decay(of parameter: Parameter) -> Float { parameter.shape.rank > 1 ? Float(weightDecay) : 0 }
}
