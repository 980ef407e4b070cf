public import AngelCore
public import AngelNN
public import AngelTensor

/// A rule that changes parameters by their gradients, with what it remembers of each.
public protocol Optimizer: AnyObject {
  /// Changes one parameter. Throws what the backend recorded, where the rule reads something back.
  ///
  /// - Parameters:
  ///   - gradientScale: multiplies the gradient first; what clipping leaves.
  ///   - step: steps taken, this one included.
  func update(
    _ parameter: Parameter, path: String, gradient: Tensor, gradientScale: Float, learningRate: Float, step: Int)
    throws
  /// What is remembered, by a name that ends with the parameter's path.
  var states: [String: OptimizerState] { get }
  /// Makes the states of a parameter that has had no step, so that a checkpoint can be restored into them.
  func prepare(_ parameter: Parameter, path: String)
}

/// Which optimizer, and its numbers.
public struct OptimizerConfiguration: Configurable, Hashable {
  /// The rules there are.
  public enum Rule: String, ConfigurationChoice { case adamw, adamw8, muon, lion, adafactor, sgd }

  public var rule = Rule.adamw
  /// The highest learning rate, that of the schedule's plateau.
  public var learningRate = 3e-4
  public var weightDecay = 0.1
  public var beta1 = 0.9
  public var beta2 = 0.95
  public var epsilon = 1e-8
  /// Of SGD and Muon; nothing: 0.9 for SGD, 0.95 for Muon.
  public var momentum: Double?
  /// The greatest norm that all gradients together may have; nothing: no limit.
  public var clip: Double? = 1.0
  /// The decay of an average of the weights that is saved beside them; nothing: none is kept.
  public var ema: Double?

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("rule", \.rule, "adamw, adamw8 (states in 8 bits), muon (with adamw for the rest), lion, adafactor or sgd"),
    .value("learning_rate", \.learningRate, in: 0...100, "the highest learning rate"),
    .value("weight_decay", \.weightDecay, in: 0...10, "decoupled decay of matrices; vectors are never decayed"),
    .value("beta1", \.beta1, in: 0...0.999999, "decay of the first moment; of Lion, its share in the direction"),
    .value("beta2", \.beta2, in: 0...0.999999, "decay of the second moment; of Lion, of its momentum"),
    .value("epsilon", \.epsilon, in: 0...1, "added to the root of AdamW's second moment"),
    .value("momentum", \.momentum, in: 0...0.999999, "of sgd (null: 0.9) and muon (null: 0.95)"),
    .value("clip", \.clip, in: 0...1e9, "the greatest norm of all gradients together; null for no limit"),
    .value("ema", \.ema, in: 0...0.9999999, "decay of an average of the weights, saved beside them; null: none"),
  ]

  /// The optimizer, without any memory yet.
  public func makeOptimizer(on backend: any Backend) -> any Optimizer {
    switch rule {
    case .adamw: AdamW(self, on: backend)
    case .adamw8: AdamW8(self, on: backend)
    case .muon: Muon(self, on: backend)
    case .lion: Lion(self, on: backend)
    case .adafactor: Adafactor(self, on: backend)
    case .sgd: SGD(self, on: backend)
    }
  }

  /// The momentum in use.
  var usedMomentum: Double { momentum ?? (rule == .muon ? 0.95 : 0.9) }

  /// Decay pulls matrices toward zero; norms and biases are no matrices and have nothing to gain by it.
  func decay(of parameter: Parameter) -> Float { parameter.shape.rank > 1 ? Float(weightDecay) : 0 }
}
