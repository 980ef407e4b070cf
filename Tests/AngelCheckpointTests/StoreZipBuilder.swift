/// Builds small zip archives whose members are stored, not compressed.
struct StoreZipBuilder {
  var usesZip64 = false
  private var bytes: [UInt8] = []
  private var directory: [UInt8] = []
  private var count = 0

  init(usesZip64: Bool = false) { self.usesZip64 = usesZip64 }

  static func archive(_ members: [(String, [UInt8])], usesZip64: Bool = false) -> [UInt8] {
    var builder = StoreZipBuilder(usesZip64: usesZip64)
    for (name, content) in members { builder.add(name, content) }
    return builder.finished()
  }

  mutating func add(_ name: String, _ content: [UInt8], method: Int = 0, checksum: UInt32? = nil) {
    let offset = bytes.count
    let fixed = number(0, 2) + number(method, 2) + number(0, 4) + number(Int(checksum ?? Self.crc(content)), 4)
    let small = number(content.count, 4) + number(content.count, 4) + number(name.utf8.count, 2)
    bytes += number(0x0403_4B50, 4) + number(20, 2) + fixed + small + number(0, 2) + name.utf8 + content
    directory += number(0x0201_4B50, 4) + number(45, 2) + number(20, 2) + fixed
    if usesZip64 {
      directory += number(0xFFFF_FFFF, 4) + number(0xFFFF_FFFF, 4) + number(name.utf8.count, 2) + number(28, 2)
      directory += number(0, 10) + number(0xFFFF_FFFF, 4) + name.utf8
      directory +=
        number(1, 2) + number(24, 2) + number(content.count, 8) + number(content.count, 8) + number(offset, 8)
    } else {
      directory += small + number(0, 2) + number(0, 10) + number(offset, 4) + name.utf8
    }
    count += 1
  }

  func finished() -> [UInt8] {
    var result = bytes + directory
    if usesZip64 {
      let record = result.count
      result += number(0x0606_4B50, 4) + number(44, 8) + number(45, 2) + number(45, 2) + number(0, 8)
      result += number(count, 8) + number(count, 8) + number(directory.count, 8) + number(bytes.count, 8)
      result += number(0x0706_4B50, 4) + number(0, 4) + number(record, 8) + number(1, 4)
      return result + number(0x0605_4B50, 4) + number(0, 4) + number(0xFFFF, 2) + number(0xFFFF, 2)
        + number(0xFFFF_FFFF, 4) + number(0xFFFF_FFFF, 4) + number(0, 2)
    }
    return result + number(0x0605_4B50, 4) + number(0, 4) + number(count, 2) + number(count, 2)
      + number(directory.count, 4) + number(bytes.count, 4) + number(0, 2)
  }

  private func number(_ value: Int, _ width: Int) -> [UInt8] {
    (0..<width).map { $0 < 8 ? UInt8(truncatingIfNeeded: value >> (8 * $0)) : 0 }
  }

  static func crc(_ bytes: [UInt8]) -> UInt32 {
    var value: UInt32 = ~0
    for byte in bytes {
      value ^= UInt32(byte)
      for _ in 0..<8 { value = value & 1 != 0 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }
    return ~value
  }
}
