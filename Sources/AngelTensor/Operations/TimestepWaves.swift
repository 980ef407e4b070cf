import Glibc

/// Sines and cosines of time steps at falling frequencies, as arXiv:2006.11239 takes them from arXiv:1706.03762, §3.5.
///
/// For half = count / 2 waves, frequency i is exp(-log(longest) i / (half - shift)). The switches are those of diffusers'
/// `get_timestep_embedding`, with its defaults.
public struct TimestepWaves: Hashable, Sendable {
  /// Numbers of an embedding; one that is odd ends with a zero.
  public var count: Int
  /// Whether cosines come first (`flip_sin_to_cos`).
  public var cosinesFirst = false
  /// What is taken off the number of waves (`downscale_freq_shift`): 1 lets the lowest frequency be 1 / longest.
  public var shift = 1.0
  /// What angles are multiplied by.
  public var scale = 1.0
  /// The longest wave over 2π (`max_period`).
  public var longest = 10_000.0

  public init(count: Int) { self.count = count }

  /// The waves at `steps` [N] (float32 or float64): [N, count].
  public func callAsFunction(_ steps: Tensor) -> Tensor {
    let (rows, half) = (steps.shape.elementCount, count / 2)
    precondition(half > 0 && Double(half) > shift, "time-step waves: \(count) numbers with a shift of \(shift)")
    let frequencies = (0..<half).map { exp(-log(longest) * Double($0) / (Double(half) - shift)) }
    // Angles of a thousand and more are exact enough in float64 alone.
    let angles =
      steps.cast(to: .float64).reshaped(rows, 1) * Tensor(frequencies, shape: [1, half], on: steps.backend) * scale
    let parts = cosinesFirst ? [cos(angles), sin(angles)] : [sin(angles), cos(angles)]
    let waves = Tensor.stacked(parts).permuted(1, 0, 2).reshaped(rows, 2 * half)
    guard count % 2 == 1 else { return waves.cast(to: steps.dtype) }
    // The zero at the end is a last row of the transpose.
    return waves.permuted(1, 0).embedded(in: count, at: 0).permuted(1, 0).cast(to: steps.dtype)
  }
}
