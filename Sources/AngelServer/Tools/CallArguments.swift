import AngelCore

/// A tool call's arguments where they come as a text.
enum CallArguments {
  /// The object that a text is; nil where it is none.
  static func object(in text: some Collection<UInt8>) -> JSONObject? {
    (try? JSONValue(parsing: text, maximumDepth: 64))?.object
  }

  /// The arguments as templates want them, who would quote a text again: an object. What is none stays a text.
  static func forTemplate(_ text: String) -> JSONValue {
    object(in: text.utf8).map { .object($0) } ?? .string(text)
  }
}
