import Glibc

/// Python's texts of floating-point numbers.
enum PythonNumber {
  /// `repr(float)`: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
  static func text(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    guard value != 0 else { return value.sign == .minus ? "-0.0" : "0.0" }
    let (digits, exponent) = shortest(value.magnitude)
    let sign = value < 0 ? "-" : ""
    guard exponent >= -4, exponent < 16 else {
      let fraction = digits.count > 1 ? "." + digits.dropFirst() : ""
      let size = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
      return sign + digits.prefix(1) + fraction + "e" + (exponent < 0 ? "-" : "+") + size
    }
    if exponent < 0 { return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits }
    let whole = digits.prefix(exponent + 1)
    let padding = String(repeating: "0", count: max(0, exponent + 1 - digits.count))
    let fraction = digits.dropFirst(exponent + 1)
    return sign + whole + padding + "." + (fraction.isEmpty ? "0" : fraction)
  }

  /// Digits without leading or trailing zeros, and the decimal exponent of the first one.
  private static func shortest(_ value: Double) -> (digits: String, exponent: Int) {
    var exponent = 0
    var mantissa = value.description[...]
    if let mark = mantissa.firstIndex(of: "e") {
      exponent = Int(mantissa[mantissa.index(after: mark)...]) ?? 0
      mantissa = mantissa[..<mark]
    }
    let parts = mantissa.split(separator: ".", omittingEmptySubsequences: false)
    var digits = String(parts.joined())
    exponent += parts[0].count - 1
    while digits.count > 1, digits.hasPrefix("0") {
      digits.removeFirst()
      exponent -= 1
    }
    while digits.count > 1, digits.hasSuffix("0") { digits.removeLast() }
    return (digits, exponent)
  }

  /// `%.{precision}f` and its kin: correctly rounded, as in C and Python. At most 60 digits after the point.
  static func fixed(_ value: Double, precision: Int, style: Character = "f") -> String {
    let format = "%.\(min(max(precision, 0), 60))\(style)"
    // 309 digits before the point, sign, point and 60 after it fit.
    var buffer = [CChar](repeating: 0, count: 512)
    let length = withVaList([value]) { vsnprintf(&buffer, buffer.count, format, $0) }
    return String(decoding: buffer.prefix(Int(max(0, min(length, 511)))).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// `round(value, precision)`.
  static func rounded(_ value: Double, precision: Int) -> Double {
    guard value.isFinite, precision < 60 else { return value }
    if precision >= 0 { return Double(fixed(value, precision: precision)) ?? value }
    guard precision > -309 else { return 0 }
    let scale = pow(10, Double(-precision))
    return (value / scale).rounded(.toNearestOrEven) * scale
  }
}

extension PythonNumber {
  static func powerOfTen(_ exponent: Int) -> Double { pow(10, Double(exponent)) }
}
