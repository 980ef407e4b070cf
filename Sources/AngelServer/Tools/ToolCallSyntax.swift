import AngelGrammar

/// How a family of models writes tool calls, found in its chat template.
struct ToolCallSyntax: Equatable, Sendable {
  /// What stands before and after a call, or all of them.
  var opener: String
  var closer: String
  /// What stands between two calls that have one opener and closer together, beside space.
  var separator: String
  /// Whether the calls are a JSON array.
  var isList = false
  /// Whether each call has an opener and a closer of its own.
  var isRepeated = false
  /// Whether the opener may be left out at an answer's beginning.
  var isBare = false
  /// Whether the opener is a special token, which answers do not show otherwise.
  var opensWithToken = false
  var argumentsKey = "arguments"

  /// `<tool_call>{"name": …, "arguments": …}</tool_call>`: Hermes, Qwen and many others.
  static let hermes = ToolCallSyntax(
    opener: "<tool_call>", closer: "</tool_call>", separator: "", isRepeated: true)
  /// `[TOOL_CALLS][{"name": …, "arguments": …}]`: Mistral.
  static let mistral = ToolCallSyntax(
    opener: "[TOOL_CALLS]", closer: "", separator: ",", isList: true, opensWithToken: true)
  /// `<tool_calls>[{"name": …, "arguments": …}]</tool_calls>`: Hunyuan.
  static let hunyuan = ToolCallSyntax(
    opener: "<tool_calls>", closer: "</tool_calls>", separator: ",", isList: true)
  /// `{"name": …, "parameters": …}` as the whole answer, several with semicolons between: Llama 3.
  static let llama3 = ToolCallSyntax(
    opener: "<|python_tag|>", closer: "", separator: ";", isBare: true, opensWithToken: true,
    argumentsKey: "parameters")

  /// What a template shows of its family; nil: it takes no tools, or writes calls in a way that is not known here.
  static func find(in template: String) -> ToolCallSyntax? {
    // Qwen3-Coder, GLM-4.5 and newer Mistral models write other things between the same marks.
    let others = ["<function=", "<arg_key>", "[ARGS]"]
    guard template.contains("tools"), !others.contains(where: template.contains) else { return nil }
    let marks: [(String, ToolCallSyntax)] = [
      ("[TOOL_CALLS]", .mistral), ("<tool_call>", .hermes), ("<tool_calls>", .hunyuan), ("<|python_tag|>", .llama3),
      ("\"parameters\": ", .llama3),
    ]
    return marks.first { template.contains($0.0) }?.1
  }

  /// Calls that an answer must have, or with `allowsText` may have.
  func format(
    _ functions: [CallFormat.Function], allowsSeveral: Bool, allowsText: Bool
  ) -> CallFormat {
    // An opener that is a token is part of the prompt where calls must come, as no text spells it.
    let before = opensWithToken || isBare ? "" : opener
    let after = isList || closer.isEmpty ? closer : "\n" + closer
    let between = isRepeated ? "\(after)\n\(before)\n" : separator + " "
    return CallFormat(
      functions, opener: before, closer: after, separator: between, isList: isList, argumentsKey: argumentsKey,
      allowsSeveral: allowsSeveral, allowsText: allowsText)
  }
}
