/// How quantities are written for people.
public enum TextFormat {
  private static let byteUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

  /// A byte count in binary units (1 KiB = 1024 B): "512 B", "360.0 KiB", "96.6 MiB"; rounded half up to one decimal.
  public static func bytes(_ count: Int) -> String {
    let sign = count < 0 ? "-" : ""
    let magnitude = count.magnitude
    guard magnitude >= 1024 else { return "\(sign)\(magnitude) B" }
    var unit = 1
    while unit < byteUnits.count - 1, tenths(of: magnitude, unit: unit) >= 10_240 { unit += 1 }
    let value = tenths(of: magnitude, unit: unit)
    return "\(sign)\(value / 10).\(value % 10) \(byteUnits[unit])"
  }

  /// `magnitude` in tenths of a unit, rounded half up, without overflow.
  private static func tenths(of magnitude: UInt, unit: Int) -> UInt {
    let shift = UInt(10 * unit)
    let rest = magnitude & ((1 << shift) - 1)
    // Dividing rest by 1024 first keeps the product in range; the bits dropped are below 1/1024 of a tenth.
    let (scaled, scale) = unit > 5 ? (rest >> 10, shift - 10) : (rest, shift)
    return (magnitude >> shift) * 10 + (scaled * 10 + (1 << (scale - 1))) >> scale
  }

  /// A word as a POSIX shell reads it back: in apostrophes unless it is harmless.
  public static func shellWord(_ text: String) -> String {
    let isHarmless = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: "/._-+:@%,=".utf8.contains(byte)
      }
    }
    return isHarmless && !text.isEmpty ? text : "'" + text.replacing("'", with: #"'\''"#) + "'"
  }

  /// A count with its thousands set apart: `134,515,008`.
  public static func count(_ value: Int) -> String {
    var text = ""
    for (index, digit) in String(value.magnitude).reversed().enumerated() {
      if index > 0, index % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return (value < 0 ? "-" : "") + String(text.reversed())
  }

  /// A number of parameters as people say it: `134.5 M`, `1.2 B`, `820`.
  public static func parameters(_ count: Int) -> String {
    switch count {
    case 999_950_000...: fixed(Double(count) / 1e9, digits: 1) + " B"
    case 999_950...: fixed(Double(count) / 1e6, digits: 1) + " M"
    default: self.count(count)
    }
  }

  /// A duration: `0:07`, `12:34`, `1:02:03`.
  public static func duration(seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0, seconds < 3.6e6 else { return "-:--" }
    let whole = Int(seconds.rounded())
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
    return hours > 0 ? "\(hours):\(twoDigits(minutes)):\(twoDigits(rest))" : "\(minutes):\(twoDigits(rest))"
  }

  /// `value` with exactly `digits` digits after the point.
  public static func fixed(_ value: Double, digits: Int) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = (value.magnitude * scale).rounded()
    guard scaled < 1e15 else { return "\(value)" }
    let whole = Int(scaled)
    let sign = value < 0 && whole > 0 ? "-" : ""
    guard digits > 0 else { return sign + String(whole) }
    let padded = String(repeating: "0", count: max(0, digits + 1 - String(whole).count)) + String(whole)
    return sign + padded.dropLast(digits) + "." + padded.suffix(digits)
  }

  static func twoDigits(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
