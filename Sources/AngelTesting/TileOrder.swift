/// The order in which AMX's tiles sum (matmul.h), element by element.
public enum TileOrder {
  private static func flushed(_ value: Float) -> Float {
    value.magnitude < .leastNormalMagnitude ? Float(signOf: value, magnitudeOf: 0) : value
  }

  /// A fused multiply-add; results that are subnormal before they are rounded count as zero, too.
  private static func extended(_ sum: Float, _ w: Float, _ x: Float) -> Float {
    let result = sum.addingProduct(w, x)
    let scaled = (sum * 0x1p64).addingProduct(w * 0x1p32, x * 0x1p32)
    if result.magnitude == 0x1p-126, scaled.magnitude < 0x1p-62 { return Float(signOf: result, magnitudeOf: 0) }
    return flushed(result)
  }

  /// The float32 sum of the products of bfloat16 values, one pair of elements after the other in tiles of 32.
  public static func sum(_ weights: [Float], _ activations: [Float]) -> Float {
    var sum: Float = 0
    for first in stride(from: 0, to: weights.count, by: 32) {
      var parts: [Float] = [0, 0]
      for k in first..<first + 32 {
        let (w, x) = k < weights.count ? (weights[k], activations[k]) : (0, 0)
        parts[k % 2] = extended(parts[k % 2], flushed(w), flushed(x))
      }
      sum = flushed(sum + flushed(parts[0] + parts[1]))
    }
    return sum
  }
}
