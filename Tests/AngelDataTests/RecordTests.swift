import AngelCore
import AngelTesting
import Testing

@testable import AngelData

@Suite("Rows") struct RecordTests {
  private func rows(_ text: String, _ name: String) throws -> [JSONValue] {
    let folder = try TemporaryFolder()
    let file = try RecordFile(path: folder.write(text.utf8, to: name))
    return try (0..<file.count).map { try file.row(at: $0) }
  }

  private func problem(_ text: String, _ name: String) -> String {
    do {
      _ = try rows(text, name)
      return ""
    } catch { return String("\(error)".split(separator: "/").last ?? "") }
  }

  @Test("lines, arrays and text give the rows they hold")
  func formats() throws {
    #expect(try rows("{\"a\":1}\n\n  \n[2]\n", "x.jsonl") == [["a": 1], [2]])
    #expect(try rows(" [ {\"a\":\"],\\\"[\"} , [1,[2]] ,3 ]\n", "x.json") == [["a": "],\"["], [1, [2]], 3])
    #expect(try rows("one\ntwo", "x.txt") == ["one\ntwo"])
  }

  @Test(
    "a broken row is named by file, line and column",
    arguments: [
      ("{\"a\":1}\n{\"a\":}\n", "x.jsonl", "x.jsonl:2:6: not JSON: "),
      ("[{\"a\":1},\n {\"b\" 2}]", "x.json", "x.json:2:7: not JSON: "),
      ("[1, 2", "x.json", "x.json': the array does not end: the file seems to be cut off at byte 5"),
      ("{}", "x.json", "x.json': a .json file of rows is one array [ … ]; write one object a line as .jsonl"),
      ("[1] 2", "x.json", "x.json': there is text after the array, from byte 3"),
      ("", "x.jsonl", "x.jsonl': it holds no rows; there is nothing to train on"),
      ("[]", "x.json", "x.json': it holds no rows; there is nothing to train on"),
      ("a,b", "x.parquet", "x.parquet': '.parquet' files are not read; convert it to JSON lines (.jsonl)"),
    ])
  func broken(_ text: String, _ name: String, _ start: String) { #expect(problem(text, name).hasPrefix(start)) }

  @Test(
    "each layout is detected and becomes the same conversation",
    arguments: [
      #"{"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}]}"#,
      #"{"conversations":[{"from":"human","value":"Q"},{"from":"gpt","value":"A"}]}"#,
      #"{"instruction":"Q","input":"","output":"A"}"#,
      #"{"prompt":"Q","completion":"A"}"#, #"{"question":"Q","answer":"A"}"#,
    ])
  func layouts(_ text: String) throws {
    let row = try JSONValue(parsing: text.utf8)
    let conversation = try ConversationLayout.detect(row, at: "x:1").conversation(row, at: "x:1")
    #expect(conversation == Conversation(messages: [.init(role: "user", "Q"), .init(role: "assistant", "A")]))
    #expect(conversation.weights == [0, 1])
  }

  @Test("turn weights, system prompts, tools and tool calls come through")
  func details() throws {
    let weighted = try JSONValue(
      parsing: #"""
        {"messages":[{"role":"system","content":"S"},{"role":"assistant","content":"A","train":false},
        {"role":"user","content":"Q"},{"role":"assistant","content":"B","weight":0.5}],"tools":[{"name":"t"}]}
        """#.utf8)
    let first = try ConversationLayout.messages.conversation(weighted, at: "x:1")
    #expect(first.weights == [0, 0, 0, 0.5] && first.tools == [["name": "t"]])
    #expect(first.messages.allSatisfy { $0.extra.members.isEmpty })
    let call = try JSONValue(
      parsing: #"""
        {"system":"S","tools":"[{\"name\":\"f\"}]","conversations":[{"from":"human","value":"Q"},
        {"from":"function_call","value":"{\"name\":\"f\",\"arguments\":{\"x\":1}}"},{"from":"observation","value":"R"},
        {"from":"gpt","value":"A"}]}
        """#.utf8)
    let second = try ConversationLayout.sharegpt.conversation(call, at: "x:1")
    #expect(second.messages.map(\.role) == ["system", "user", "assistant", "tool", "assistant"])
    #expect(second.messages[2].toolCalls == [["type": "function", "function": ["name": "f", "arguments": ["x": 1]]]])
    #expect(second.tools == [["name": "f"]])
  }

  @Test(
    "a row of no layout, or with a wrong field, says what it has and what is expected",
    arguments: [
      (#"{"q":1}"#, "x:1: no known layout has the keys 'q'; expected 'messages'"),
      (#"{"conversations":[{"from":"bot","value":"A"}]}"#, "x:1: conversations[0]: 'from' is 'bot', expected one of"),
      (#"{"messages":[{"role":"user","content":"Q"}]}"#, "x:1: there is no turn of the assistant"),
      (#"{"prompt":1,"completion":"A"}"#, "x:1: 'prompt' and 'completion' must be texts"),
      ("3", "x:1: a row must be an object, not a number"),
    ])
  func wrongRows(_ text: String, _ start: String) throws {
    let row = try JSONValue(parsing: text.utf8)
    do {
      _ = try ConversationLayout.detect(row, at: "x:1").conversation(row, at: "x:1")
      Issue.record("accepted")
    } catch { #expect(error.description.hasPrefix(start), "\(error)") }
  }
}
