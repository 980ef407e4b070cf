import AngelCore

/// Reads one tool call, `{"name": …, "arguments": …}`, byte by byte, and gives its arguments out as they come.
///
/// A call is given out once its name and the beginning of an object are there, so that nothing has to be taken back:
/// arguments that are a list or a number are none that a tool could be called with.
struct CallScanner: Sendable {
  private enum Place {
    case beforeObject, beforeKey, key, beforeColon, beforeValue, value, afterValue
  }

  /// How it stands with the call.
  enum Status: Equatable {
    case reading, complete, failed
  }

  private(set) var status = Status.reading
  /// Parts of the answer that are certain; whoever reads takes them away.
  var output: [ChatPart] = []
  /// Whether a call has been given out.
  private(set) var isGiven = false
  /// Everything read until it is, to be shown as text where it turns out to be no call.
  private(set) var text: [UInt8] = []

  private let names: Set<String>
  private var name: String?
  private var place = Place.beforeObject
  private var key: [UInt8] = []
  /// The value under way: its first byte, how deep it is, whether in a string and after a backslash.
  private var value: [UInt8] = []
  private var depth = 0
  private var isInString = false
  private var isEscaped = false
  /// Arguments that came before the name.
  private var heldArguments: [UInt8]?
  private var hasArguments = false

  /// - Parameter names: those of the tools; anything else is no call.
  init(names: Set<String>) { self.names = names }

  private var isArguments: Bool { key.elementsEqual("arguments".utf8) || key.elementsEqual("parameters".utf8) }

  mutating func take(_ byte: UInt8) {
    if !isGiven { text.append(byte) }
    let isSpace = byte == 0x20 || (0x09...0x0D).contains(byte)
    switch place {
    case .beforeObject: if !isSpace { move(.beforeKey, byte == UInt8(ascii: "{")) }
    case .beforeKey:
      if byte == UInt8(ascii: "}") { return complete() }
      if isSpace { return }
      key = []
      move(.key, byte == UInt8(ascii: "\""))
    case .key: if byte == UInt8(ascii: "\"") { place = .beforeColon } else { key.append(byte) }
    case .beforeColon: if !isSpace { move(.beforeValue, byte == UInt8(ascii: ":")) }
    case .beforeValue: if !isSpace { beginValue(byte) }
    case .value: continueValue(byte)
    case .afterValue:
      if byte == UInt8(ascii: "}") { return complete() }
      if !isSpace { move(.beforeKey, byte == UInt8(ascii: ",")) }
    }
  }

  private mutating func move(_ next: Place, _ isRight: Bool) {
    if isRight { place = next } else { status = .failed }
  }

  private mutating func beginValue(_ byte: UInt8) {
    place = .value
    value = []
    (depth, isInString, isEscaped) = (0, false, false)
    continueValue(byte)
  }

  private mutating func continueValue(_ byte: UInt8) {
    if isInString {
      add(byte)
      if isEscaped {
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte == UInt8(ascii: "\"") {
        isInString = false
        if depth == 0 { endValue() }
      }
      return
    }
    switch byte {
    case UInt8(ascii: "\""):
      isInString = true
      add(byte)
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      depth += 1
      add(byte)
    case UInt8(ascii: "}"), UInt8(ascii: "]"):
      // A number or word ends where the object does.
      guard depth > 0 else {
        endValue()
        if byte == UInt8(ascii: "}") { complete() } else { status = .failed }
        return
      }
      depth -= 1
      add(byte)
      if depth == 0 { endValue() }
    case UInt8(ascii: ",") where depth == 0:
      endValue()
      place = .beforeKey
    default: add(byte)
    }
  }

  private mutating func add(_ byte: UInt8) {
    value.append(byte)
    guard isArguments, !hasArguments, name != nil, value.first == UInt8(ascii: "{") else { return }
    give([byte])
  }

  /// Gives out arguments of the call whose name is known.
  private mutating func give(_ bytes: [UInt8]) {
    if !isGiven, let name {
      isGiven = true
      output.append(.call(name: name))
    }
    if case .arguments(var before)? = output.last {
      output.removeLast()
      before += bytes
      output.append(.arguments(before))
    } else {
      output.append(.arguments(bytes))
    }
  }

  private mutating func endValue() {
    place = .afterValue
    if key.elementsEqual("name".utf8), name == nil {
      guard let name = (try? JSONValue(parsing: value))?.string, names.contains(name) else { return status = .failed }
      self.name = name
      if let heldArguments { give(heldArguments) }
    } else if isArguments, !hasArguments {
      hasArguments = true
      if value.first == UInt8(ascii: "{") {
        if name == nil { heldArguments = value }
        return
      }
      guard let arguments = objectOfValue else { return status = .failed }
      if name == nil { heldArguments = arguments } else { give(arguments) }
    }
  }

  /// The object that a value of another kind means: some models write the arguments as a string, which holds the JSON, or
  /// null where there are none. Nil: it means none.
  private var objectOfValue: [UInt8]? {
    let none = Array("{}".utf8)
    switch try? JSONValue(parsing: value) {
    case .null?: return none
    case .string(let text)?:
      if text.utf8.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) { return none }
      return CallArguments.object(in: text.utf8).map { _ in Array(text.utf8) }
    default: return nil
    }
  }

  private mutating func complete() {
    guard status == .reading else { return }
    guard name != nil else { return status = .failed }
    if !hasArguments { give(Array("{}".utf8)) }
    status = .complete
  }
}
