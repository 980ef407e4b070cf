import AngelCore
import CAngelKernels

/// From the gradient of an elementwise result to that of one argument, before it is summed over broadcast axes.
typealias ElementwiseGradient = @Sendable (_ gradient: Tensor) -> Tensor

/// An elementwise function of two tensors: its kernel family and its two partial derivatives.
protocol BinaryFamily: Sendable {
  static var family: angel_family { get }
  static func leftGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient
  static func rightGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient
}

/// An elementwise function of one tensor: its kernel family and its derivative.
protocol UnaryFamily: Sendable {
  static var family: angel_family { get }
  static func gradient(_ x: Tensor, _ output: Tensor) -> ElementwiseGradient
}

enum Add: BinaryFamily {
  static let family = ANGEL_FAMILY_add
  static func leftGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient { { $0 } }
  static func rightGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient { { $0 } }
}

enum Subtract: BinaryFamily {
  static let family = ANGEL_FAMILY_subtract
  static func leftGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient { { $0 } }
  static func rightGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient { { -$0 } }
}

enum Multiply: BinaryFamily {
  static let family = ANGEL_FAMILY_multiply
  static func leftGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient { { $0 * right } }
  static func rightGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient { { $0 * left } }
}

enum Divide: BinaryFamily {
  static let family = ANGEL_FAMILY_divide
  static func leftGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient { { $0 / right } }
  static func rightGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient {
    { -($0 * left) / right.squared() }
  }
}

/// Where both are equal each gets half of the gradient.
enum Maximum: BinaryFamily {
  static let family = ANGEL_FAMILY_maximum
  static func leftGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient {
    { $0 * share(of: left, over: right) }
  }
  static func rightGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient {
    { $0 * share(of: right, over: left) }
  }
}

/// Where both are equal each gets half of the gradient.
enum Minimum: BinaryFamily {
  static let family = ANGEL_FAMILY_minimum
  static func leftGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient {
    { $0 * share(of: right, over: left) }
  }
  static func rightGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient {
    { $0 * share(of: left, over: right) }
  }
}

/// 1 where x is the greater, 1/2 where both are equal, 0 elsewhere.
private func share(of x: Tensor, over y: Tensor) -> Tensor { (x.isAtLeast(y) + 1 - y.isAtLeast(x)) / 2 }

/// A step: its derivative is 0 wherever there is one.
enum AtLeast: BinaryFamily {
  static let family = ANGEL_FAMILY_at_least
  static func leftGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient { { $0 * 0 } }
  static func rightGradient(_ left: Tensor, _ right: Tensor) -> ElementwiseGradient { { $0 * 0 } }
}

enum Negate: UnaryFamily {
  static let family = ANGEL_FAMILY_negate
  static func gradient(_ x: Tensor, _ output: Tensor) -> ElementwiseGradient { { -$0 } }
}

enum Exponential: UnaryFamily {
  static let family = ANGEL_FAMILY_exp
  static func gradient(_ x: Tensor, _ output: Tensor) -> ElementwiseGradient { { $0 * output } }
}

enum Logarithm: UnaryFamily {
  static let family = ANGEL_FAMILY_log
  static func gradient(_ x: Tensor, _ output: Tensor) -> ElementwiseGradient { { $0 / x } }
}

enum SquareRoot: UnaryFamily {
  static let family = ANGEL_FAMILY_sqrt
  static func gradient(_ x: Tensor, _ output: Tensor) -> ElementwiseGradient { { $0 / (2 * output) } }
}

enum Sine: UnaryFamily {
  static let family = ANGEL_FAMILY_sin
  static func gradient(_ x: Tensor, _ output: Tensor) -> ElementwiseGradient { { $0 * cos(x) } }
}

enum Cosine: UnaryFamily {
  static let family = ANGEL_FAMILY_cos
  static func gradient(_ x: Tensor, _ output: Tensor) -> ElementwiseGradient { { -($0 * sin(x)) } }
}

enum HyperbolicTangent: UnaryFamily {
  static let family = ANGEL_FAMILY_tanh
  static func gradient(_ x: Tensor, _ output: Tensor) -> ElementwiseGradient { { $0 * (1 - output.squared()) } }
}

enum ErrorFunction: UnaryFamily {
  static let family = ANGEL_FAMILY_erf
  static func gradient(_ x: Tensor, _ output: Tensor) -> ElementwiseGradient {
    { $0 * exp(-x.squared()) * (2 / Double.pi.squareRoot()) }
  }
}
