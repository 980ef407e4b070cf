/// How quantities are written for people.
public enum TextFormat {
  /// A byte count in decimal units: `98.4 MB`.
  public static func bytes(_ count: Int) -> String {
    guard count >= 1000 else { return "\(count) B" }
    var value = Double(count)
    var unit = 0
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    while value >= 999.95, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return fixed(value, digits: 1) + " " + units[unit]
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
