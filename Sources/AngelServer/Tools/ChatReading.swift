import AngelCore
import AngelGrammar
import AngelHCF
import AngelText

/// What is told apart in the answers to one chat request.
struct ChatReading: Sendable {
  var reasoning: ReasoningFormat?
  var syntax: ToolCallSyntax?
  var names: Set<String> = []
  /// Whether the prompt ends with the opener of calls.
  var hasOpened = false

  /// Nil where an answer is text and nothing else.
  func makeReader() -> ChatReader? {
    guard reasoning != nil || syntax != nil else { return nil }
    return ChatReader(reasoning: reasoning, syntax: syntax, names: names, hasOpened: hasOpened)
  }
}

extension ReasoningFormat {
  /// The thoughts of a family of models by its chat template and the end of a prompt that it wrote; nil: it has none.
  static func find(in template: String, prompt: String) -> ReasoningFormat? {
    guard template.contains("</think>") else { return nil }
    let end = prompt.unicodeScalars.reversed().drop { $0.properties.isWhitespace }
    let opener = "<think>"
    return ReasoningFormat(
      opener: opener, closer: "</think>", hasBegun: end.starts(with: opener.unicodeScalars.reversed()))
  }
}

/// Names for tool calls, by which a tool's answer says what it belongs to.
enum ToolCallID {
  private static let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")

  /// Nine letters and digits, as Mistral's template wants them.
  static func make() -> String {
    String((0..<9).map { _ in letters[Int.random(in: letters.indices)] })
  }
}
