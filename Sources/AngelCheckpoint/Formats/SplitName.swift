/// The name of one part of a split model: `model-00001-of-00003.gguf`.
struct SplitName {
  /// What stands before the numbers, folder included.
  let prefix: String
  /// From 1 to `count`.
  let number: Int
  let count: Int
  private let ending: String

  /// Takes `path` apart; nil when it is not the name of a part.
  init?(_ path: String, ending: String = ".gguf") {
    let numbers = Array("-00001-of-00003".utf8)
    guard path.hasSuffix(ending) else { return nil }
    let stem = Array(path.utf8.dropLast(ending.utf8.count))
    guard stem.count > numbers.count else { return nil }
    let tail = Array(stem.suffix(numbers.count))
    guard let number = Self.digits(tail[1..<6]), let count = Self.digits(tail[10..<15]), number >= 1, number <= count
    else { return nil }
    self.prefix = String(decoding: stem.dropLast(numbers.count), as: UTF8.self)
    self.number = number
    self.count = count
    self.ending = ending
    guard path == self.path(number) else { return nil }
  }

  /// The names of `count` parts in the place of the file at `path`.
  init(stem path: String, count: Int, ending: String = ".gguf") {
    prefix = path.hasSuffix(ending) ? String(path.dropLast(ending.count)) : path
    number = 1
    self.count = count
    self.ending = ending
  }

  /// The path of part `number`.
  func path(_ number: Int) -> String {
    "\(prefix)-\(Self.fiveDigits(number))-of-\(Self.fiveDigits(count))\(ending)"
  }

  private static func fiveDigits(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }

  private static func digits(_ bytes: ArraySlice<UInt8>) -> Int? {
    guard bytes.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
    return bytes.reduce(0) { $0 * 10 + Int($1 - 0x30) }
  }
}
