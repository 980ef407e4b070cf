/// Eight-bit floats as deep-learning hardware has them (arXiv:2209.05433, table 1, E4M3): four bits of exponent with
/// bias 7, three of mantissa, no infinities.
enum Float8 {
  /// The value of each byte.
  static let values: [Float] = (0..<256).map { byte in
    let (exponent, mantissa) = (byte >> 3 & 15, byte & 7)
    let sign: Float = byte < 128 ? 1 : -1
    if exponent == 15, mantissa == 7 { return .nan }
    if exponent == 0 { return sign * Float(mantissa) * 0x1p-9 }
    return sign * Float(8 + mantissa) * Float(sign: .plus, exponent: exponent - 10, significand: 1)
  }

  /// The largest.
  static let greatest: Float = 448
}

extension Float8 {
  /// Access to the values of a matrix without checks; valid while the tensor's file lives.
  struct Reader {
    private let base: UnsafeRawBufferPointer
    private let inputs: Int

    init(_ tensor: StoredBytes, inputs: Int) {
      base = tensor.bytes
      self.inputs = inputs
    }

    @inline(__always)
    func value(_ row: Int, _ input: Int) -> Float { Float8.values[Int(base[row &* inputs &+ input])] }
  }
}
