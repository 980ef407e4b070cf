public import AngelTensor
import Glibc

/// Rotary position embedding (arXiv:2104.09864): the frequencies a model rotates its queries and keys by, with the
/// scalings that stretch them to longer contexts.
public struct RotaryEmbedding: Sendable {
  /// Rotated elements of a head.
  public let size: Int
  /// The base of the geometric series of frequencies, theta.
  public let base: Float
  public let scaling: RotaryScaling
  private let unscaled: [Float]

  public init(size: Int, base: Float, scaling: RotaryScaling = .none) {
    self.size = size
    self.base = base
    self.scaling = scaling
    self.unscaled = Self.frequencies(size: size, base: base)
  }

  /// Cosines and sines for the rows of a step, [R, 2, size / 2].
  public func callAsFunction(_ context: ForwardContext) -> Tensor {
    let frequencies = Tensor(inverseFrequencies(forLength: context.sequenceLength), on: context.positions.backend)
    return frequencies.rotationTable(at: context.positions, scaling: attentionFactor)
  }

  /// Radians per position of each pair, [size / 2], for a sequence of `length` tokens.
  public func inverseFrequencies(forLength length: Int) -> [Float] {
    switch scaling {
    case .none: unscaled
    case .linear(let factor): unscaled.map { $0 / factor }
    case .divided(let divisors, _): zip(unscaled, divisors).map { $0 / $1 }
    case .dynamic(let factor, let original): dynamic(factor, Float(original), Float(max(length, original)))
    case .llama3(let bands): unscaled.map(bands.scaled)
    case .yarn(let yarn): yarn.scaled(unscaled, size: size, base: base)
    case .longRope(let long):
      zip(unscaled, length > long.originalLength ? long.longDivisors : long.shortDivisors).map { $0 / $1 }
    }
  }

  /// Multiplies cosines and sines, and so scales attention scores by its square.
  public var attentionFactor: Float {
    switch scaling {
    case .none, .linear, .dynamic, .llama3: 1
    case .divided(_, let factor): factor
    case .yarn(let yarn): yarn.attentionFactor
    case .longRope(let long): long.attentionFactor
    }
  }

  /// NTK-aware scaling that grows with the sequence: the base rises so that the longest wave just fits.
  private func dynamic(_ factor: Float, _ original: Float, _ length: Float) -> [Float] {
    let growth = factor * length / original - (factor - 1)
    return Self.frequencies(size: size, base: base * powf(growth, Float(size) / Float(size - 2)))
  }

  private static func frequencies(size: Int, base: Float) -> [Float] {
    (0..<(size / 2)).map { 1 / powf(base, Float(2 * $0) / Float(size)) }
  }
}

/// How rotary frequencies are stretched beyond the length a model was trained on.
public enum RotaryScaling: Codable, Hashable, Sendable {
  case none
  /// Position interpolation (arXiv:2306.15595): every frequency divided by the factor.
  case linear(Float)
  /// Dynamic NTK: the base grows once a sequence is longer than the original length.
  case dynamic(factor: Float, originalLength: Int)
  /// Llama 3's bands: long waves divided, short ones kept, a ramp between.
  case llama3(Llama3Bands)
  /// YaRN (arXiv:2309.00071).
  case yarn(YaRN)
  /// LongRoPE (arXiv:2402.13753): one divisor per frequency, two sets by length.
  case longRope(LongRope)
  /// One divisor per frequency, as files that carry precomputed factors have it.
  case divided(by: [Float], attentionFactor: Float)

  /// Up to this length all sequences have the same frequencies; `Int.max` where they never depend on the length.
  public var uniformLength: Int {
    switch self {
    case .none, .linear, .llama3, .yarn, .divided: .max
    case .dynamic(_, let originalLength): originalLength
    case .longRope(let long): long.originalLength
    }
  }

  /// Sequences whose lengths have the same class have the same frequencies; 0 for lengths up to `uniformLength`. Classes
  /// rise with the length.
  public func lengthClass(_ length: Int) -> Int {
    switch self {
    case .none, .linear, .llama3, .yarn, .divided: 0
    case .dynamic(_, let originalLength): max(0, length - originalLength)
    case .longRope(let long): length > long.originalLength ? 1 : 0
    }
  }

  /// Llama 3's scaling by wave length.
  public struct Llama3Bands: Codable, Hashable, Sendable {
    public var factor: Float
    public var lowFrequencyFactor: Float
    public var highFrequencyFactor: Float
    public var originalLength: Int

    public init(factor: Float, lowFrequencyFactor: Float, highFrequencyFactor: Float, originalLength: Int) {
      self.factor = factor
      self.lowFrequencyFactor = lowFrequencyFactor
      self.highFrequencyFactor = highFrequencyFactor
      self.originalLength = originalLength
    }

    func scaled(_ frequency: Float) -> Float {
      let length = Float(originalLength)
      let wave = 2 * Float.pi / frequency
      if wave > length / lowFrequencyFactor { return frequency / factor }
      if wave < length / highFrequencyFactor { return frequency }
      let smooth = (length / wave - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
      return (1 - smooth) * frequency / factor + smooth * frequency
    }
  }

  /// YaRN: interpolation for long waves, extrapolation for short ones, a linear ramp over the pairs between.
  public struct YaRN: Codable, Hashable, Sendable {
    public var factor: Float
    public var originalLength: Int
    public var fastRotations: Float
    public var slowRotations: Float
    /// Whether the ramp's ends are rounded to whole pairs.
    public var truncates: Bool
    public var attentionFactor: Float

    /// `attentionFactor` nil: 0.1 ln(factor) + 1, the paper's equation 22.
    public init(
      factor: Float, originalLength: Int, fastRotations: Float = 32, slowRotations: Float = 1, truncates: Bool = true,
      attentionFactor: Float? = nil
    ) {
      self.factor = factor
      self.originalLength = originalLength
      self.fastRotations = fastRotations
      self.slowRotations = slowRotations
      self.truncates = truncates
      self.attentionFactor = attentionFactor ?? Self.temperature(factor)
    }

    /// 0.1 · `weight` · ln(factor) + 1, or 1 where the context is not stretched.
    public static func temperature(_ factor: Float, weight: Float = 1) -> Float {
      factor <= 1 ? 1 : 0.1 * weight * logf(factor) + 1
    }

    func scaled(_ frequencies: [Float], size: Int, base: Float) -> [Float] {
      /// The pair that turns `rotations` times over the original length.
      func pair(_ rotations: Double) -> Double {
        Double(size) * log(Double(originalLength) / (rotations * 2 * Double.pi)) / (2 * log(Double(base)))
      }
      var (low, high) = (pair(Double(fastRotations)), pair(Double(slowRotations)))
      if truncates { (low, high) = (low.rounded(.down), high.rounded(.up)) }
      low = max(low, 0)
      high = min(high, Double(size - 1))
      if low == high { high += 0.001 }
      return frequencies.enumerated().map { index, frequency in
        let ramp = min(max((Float(index) - Float(low)) / Float(high - low), 0), 1)
        let kept = 1 - ramp
        return frequency / factor * (1 - kept) + frequency * kept
      }
    }
  }

  /// LongRoPE's searched divisors.
  public struct LongRope: Codable, Hashable, Sendable {
    public var shortDivisors: [Float]
    public var longDivisors: [Float]
    public var originalLength: Int
    public var attentionFactor: Float

    /// `attentionFactor` nil: sqrt(1 + ln(factor) / ln(originalLength)).
    public init(
      shortDivisors: [Float], longDivisors: [Float], originalLength: Int, factor: Float, attentionFactor: Float? = nil
    ) {
      self.shortDivisors = shortDivisors
      self.longDivisors = longDivisors
      self.originalLength = originalLength
      self.attentionFactor =
        attentionFactor ?? (factor <= 1 ? 1 : sqrtf(1 + logf(factor) / logf(Float(originalLength))))
    }
  }
}
