/// Sizes in memory as people write them; `TextFormat.bytes` writes them.
public enum MemoryFormat {
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
