import AngelCore

/// Reads one tool call, `{"name": …, "arguments": …}`, byte by byte, and gives its arguments out as they come.
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
  /// Whether the name is known, so that a call has been given out.
  private(set) var hasName = false
  /// Everything read until the name is known, to be shown as text where it turns out to be no call.
  private(set) var text: [UInt8] = []

  private let names: Set<String>
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
    if !hasName { text.append(byte) }
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
    guard hasName, isArguments, !hasArguments, value.first != UInt8(ascii: "\"") else { return }
    if case .arguments(var bytes)? = output.last {
      output.removeLast()
      bytes.append(byte)
      output.append(.arguments(bytes))
    } else {
      output.append(.arguments([byte]))
    }
  }

  private mutating func endValue() {
    place = .afterValue
    if key.elementsEqual("name".utf8), !hasName {
      guard let name = (try? JSONValue(parsing: value))?.string, names.contains(name) else { return status = .failed }
      hasName = true
      output.append(.call(name: name))
      if let heldArguments { output.append(.arguments(heldArguments)) }
    } else if isArguments, !hasArguments {
      hasArguments = true
      let isText = value.first == UInt8(ascii: "\"")
      // Some models write the arguments as a string, which holds the JSON.
      let arguments = isText ? Array(((try? JSONValue(parsing: value))?.string ?? "").utf8) : value
      if !hasName {
        heldArguments = arguments
      } else if isText {
        output.append(.arguments(arguments))
      }
    }
  }

  private mutating func complete() {
    guard status == .reading else { return }
    guard hasName else { return status = .failed }
    if !hasArguments { output.append(.arguments(Array("{}".utf8))) }
    status = .complete
  }
}
