/// The name of one part of a split GGUF file: `model-00001-of-00003.gguf`.
struct SplitName {
  /// What stands before the numbers, folder included.
  let prefix: String
  /// From 1 to `count`.
  let number: Int
  let count: Int

  /// Takes `path` apart; nil when it does not end like a part.
  init?(_ path: String) {
    let ending = Array(path.utf8.suffix(Self.endingBytes))
    guard ending.count == Self.endingBytes, path.utf8.count > Self.endingBytes,
      let number = Self.digits(ending[1..<6]), let count = Self.digits(ending[10..<15]),
      number >= 1, number <= count
    else { return nil }
    self.init(prefix: String(path.dropLast(Self.endingBytes)), number: number, count: count)
    guard path == self.path(number) else { return nil }
  }

  private init(prefix: String, number: Int, count: Int) {
    self.prefix = prefix
    self.number = number
    self.count = count
  }

  /// The path of part `number`.
  func path(_ number: Int) -> String { "\(prefix)-\(Self.fiveDigits(number))-of-\(Self.fiveDigits(count)).gguf" }

  private static let endingBytes = "-00001-of-00003.gguf".utf8.count

  private static func fiveDigits(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }

  private static func digits(_ bytes: ArraySlice<UInt8>) -> Int? {
    guard bytes.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
    return bytes.reduce(0) { $0 * 10 + Int($1 - 0x30) }
  }
}
