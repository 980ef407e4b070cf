/// Rewrites the few constructs of a regular expression that Oniguruma and PCRE2 read differently.
///
/// - `\s` is White_Space in Oniguruma; PCRE2's also takes U+180E.
/// - `\w` includes marks and connector punctuation in Oniguruma; PCRE2's (10.42) does not.
/// - `\h` is a hexadecimal digit in Oniguruma, horizontal space in PCRE2.
/// - `\p{Han}` is the script in Oniguruma, script extensions in PCRE2.
/// - Oniguruma 6.9.10 has newer tables: PCRE2 10.42 does not know the 9,272 letters and 120 numbers added after
///   Unicode 14 (mostly rare Han), and takes them for symbols. Nothing is the other way round.
/// - `&&` and nested classes inside `[…]`, and a `+` after `{m,n}`, mean other things: refused.
struct OnigurumaDialect {
  private var input: ArraySlice<Unicode.Scalar>
  private var output = String.UnicodeScalarView()
  private let source: String
  private var classDepth = 0

  static func translate(_ source: String) throws(TokenizerError) -> String {
    var dialect = OnigurumaDialect(input: Array(source.unicodeScalars)[...], source: source)
    try dialect.run()
    return String(dialect.output)
  }

  private init(input: ArraySlice<Unicode.Scalar>, source: String) {
    self.input = input
    self.source = source
  }

  private mutating func run() throws(TokenizerError) {
    while let scalar = input.popFirst() {
      switch scalar {
      case "\\": try escape()
      case "[": try openClass()
      case "]" where classDepth > 0:
        classDepth = 0
        output.append(scalar)
      case "&" where classDepth > 0 && input.first == "&": throw refused("class intersection '&&'")
      case "}" where classDepth == 0 && input.first == "+" && closesRepetition:
        throw refused("a possessive '+' after '{…}'")
      default: output.append(scalar)
      }
    }
  }

  private func refused(_ construct: String) -> TokenizerError {
    .pattern(source, reason: "\(construct) is not supported; write it in another way")
  }

  /// Whether the braces about to close hold a repetition count, not a property name.
  private var closesRepetition: Bool {
    guard let open = output.lastIndex(of: "{") else { return false }
    return output[output.index(after: open)...].allSatisfy { ("0"..."9").contains($0) || $0 == "," }
  }

  private mutating func openClass() throws(TokenizerError) {
    guard classDepth == 0 else {
      if input.first == ":" {
        output.append("[")
        // A POSIX class such as [:alpha:] ends with its own bracket.
        while let scalar = input.popFirst() {
          output.append(scalar)
          if scalar == "]" { return }
        }
        return
      }
      throw refused("a class inside a class")
    }
    classDepth = 1
    output.append("[")
    if input.first == "^", let scalar = input.popFirst() { output.append(scalar) }
    // A bracket that comes first is itself a member.
    if input.first == "]" {
      input.removeFirst()
      output.append(contentsOf: "\\]".unicodeScalars)
    }
  }

  private mutating func escape() throws(TokenizerError) {
    guard let scalar = input.popFirst() else { throw refused("a trailing backslash") }
    switch scalar {
    case "s": write(#"\p{White_Space}"#)
    case "S": write(#"\P{White_Space}"#)
    case "w": write(classDepth > 0 ? Self.word : "[\(Self.word)]")
    case "W" where classDepth == 0: write("[^\(Self.word)]")
    case "h": write(classDepth > 0 ? "0-9A-Fa-f" : "[0-9A-Fa-f]")
    case "H" where classDepth == 0: write("[^0-9A-Fa-f]")
    case "W", "H": throw refused("\\\(scalar) inside a class")
    case "G": throw refused("\\G")
    case "p", "P": property(scalar)
    default:
      output.append("\\")
      output.append(scalar)
    }
  }

  /// Oniguruma's word characters: UTS #18's, and the six superscripts and fractions of Latin-1.
  private static let word = #"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}"#

  private mutating func write(_ text: String) { output.append(contentsOf: text.unicodeScalars) }

  /// A property: a name that is a script means just that script.
  private mutating func property(_ letter: Unicode.Scalar) {
    output.append("\\")
    output.append(letter)
    guard input.first == "{", let close = input.firstIndex(of: "}") else { return }
    var name = String(String.UnicodeScalarView(input[input.index(after: input.startIndex)..<close]))
    input = input[input.index(after: close)...]
    let negation = name.hasPrefix("^") ? "^" : ""
    name.removeFirst(negation.count)
    let isScript = name.count > 2 && SplitPattern.accepts("\\p{sc:\(name)}")
    write("{\(negation)\(isScript ? "sc:" : "")\(name)}")
  }
}
