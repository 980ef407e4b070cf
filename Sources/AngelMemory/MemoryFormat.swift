/// How sizes in memory are written everywhere: binary units with IEC names (1 KiB = 1024 B), one decimal above bytes.
public enum MemoryFormat {
  private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

  /// "512 B", "360.0 KiB", "96.6 MiB", "1.2 GiB"; rounded half up to one decimal.
  public static func text(_ byteCount: Int) -> String {
    let sign = byteCount < 0 ? "-" : ""
    let magnitude = byteCount.magnitude
    guard magnitude >= 1024 else { return "\(sign)\(magnitude) B" }
    var unit = 1
    while unit < units.count - 1, tenths(of: magnitude, unit: unit) >= 10_240 { unit += 1 }
    let value = tenths(of: magnitude, unit: unit)
    return "\(sign)\(value / 10).\(value % 10) \(units[unit])"
  }

  /// `magnitude` in tenths of a unit, rounded half up, without overflow.
  private static func tenths(of magnitude: UInt, unit: Int) -> UInt {
    let shift = UInt(10 * unit)
    let rest = magnitude & ((1 << shift) - 1)
    // Dividing rest by 1024 first keeps the product in range; the bits dropped are below 1/1024 of a tenth.
    let (scaled, scale) = unit > 5 ? (rest >> 10, shift - 10) : (rest, shift)
    return (magnitude >> shift) * 10 + (scaled * 10 + (1 << (scale - 1))) >> scale
  }

  /// Reads a size as a person writes it: "12GiB", "1.5 MiB", "4096", "512 B"; units in any case, "G" means GiB.
  public static func byteCount(of text: String) throws(MemoryError) -> Int {
    let compact = text.filter { !$0.isWhitespace }
    let digits = compact.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let suffix = compact.dropFirst(digits.count).lowercased()
    let scales = ["": 0, "b": 0, "k": 1, "kib": 1, "m": 2, "mib": 2, "g": 3, "gib": 3, "t": 4, "tib": 4]
    guard let scale = scales[suffix], let value = Double(digits), value.isFinite,
      let result = Int(exactly: (value * Double(1 << (10 * scale))).rounded())
    else { throw .unreadableSize(text) }
    return result
  }
}
