import AngelCore
import AngelTesting
import Testing

@testable import AngelData

@Suite("Rows") struct RecordTests {
  private func rows(_ text: String, _ name: String) throws -> [JSONValue] {
    let folder = try TemporaryFolder()
    return try records(folder.write(text.utf8, to: name)).map { try $0.row() }
  }

  private func records(_ path: String) throws -> [Record] {
    let reader = try RecordReader(path: path)
    var records: [Record] = []
    while let record = try reader.next() { records.append(record) }
    return records
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
    "rows that are longer than what is read at once come whole, and count their lines", arguments: ["jsonl", "json"])
  func longRows(_ ending: String) throws {
    let folder = try TemporaryFolder()
    let long = String(repeating: "long \\n ", count: 400_000)
    let isArray = ending == "json"
    let rows = (0..<5).map { #"{"a": "\#($0)", "b": "\#($0 == 2 ? long : "short")"}"# }
    let text = (isArray ? "[" : "") + rows.joined(separator: isArray ? ",\n" : "\n\n") + (isArray ? "]" : "")
    let records = try records(folder.write(text.utf8, to: "x." + ending))
    #expect(try records.map { try $0.row() } == rows.map { try JSONValue(parsing: $0.utf8) })
    #expect(
      records.map { String($0.place.split(separator: ":").last ?? "") }
        == (isArray ? ["1", "1", "2", "3", "4"] : ["1", "3", "5", "7", "9"]))
  }

  @Test("files of tokens and packed Parquet are refused by name, whoever asks for their rows")
  func noRows() {
    let tokens = "it holds tokens, not rows; name files of tokens alone, or the texts they were made from"
    #expect(problem("ANGELTOK", "a.tokens").hasSuffix("a.tokens': " + tokens), "\(problem("ANGELTOK", "a.tokens"))")
    #expect(problem("ANGELTOK", "a.tokens.zst").hasSuffix(tokens))
    for name in ["a.parquet.gz", "a.Parquet.zst"] {
      #expect(problem("PAR1", name).contains("Parquet is not read from a packed file"), "\(name)")
    }
  }

  @Test("a long text comes in pieces that end with lines, and is the text again")
  func pieces() throws {
    let folder = try TemporaryFolder()
    let lines = String(repeating: "Words of a line, one é.\n\n  Indented.\n", count: 130_000)
    for text in [lines, String(repeating: "é", count: 2_500_000), String(repeating: "ab ", count: 1_500_000)] {
      let records = try records(folder.write(text.utf8, to: "x.txt"))
      let pieces = try records.map { try $0.text(key: "text") }
      #expect(pieces.count == 2 && pieces.joined() == text)
      #expect(records.map(\.continues) == [true, false])
    }
    let pieces = try records(folder.write(lines.utf8, to: "x.txt")).map { try $0.text(key: "") }
    #expect(pieces[0].hasSuffix(".\n") && pieces[1].hasPrefix("W"))
  }

  @Test("rows of a sample lie as far apart as they can, in their order")
  func sample() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write((0..<1000).map { "\($0)\n" }.joined().utf8, to: "x.jsonl")
    func spread(_ count: Int, rows: Int = .max) throws -> [Int] {
      try RecordSample.spread(path, count: count, rows: rows, interruption: Interruption())
        .compactMap { try $0.row().integer }
    }
    #expect(try spread(2000) == Array(0..<1000))
    #expect(try spread(5, rows: 7) == [0, 1, 2, 4, 5])
    let few = try spread(10)
    #expect(few.count == 10 && few[0] == 0 && zip(few, few.dropFirst()).allSatisfy { (50...150).contains($1 - $0) })
  }

  @Test(
    "a broken row is named by file, line and column",
    arguments: [
      ("{\"a\":1}\n{\"a\":}\n", "x.jsonl", "x.jsonl:2:6: not JSON: "),
      ("[{\"a\":1},\n {\"b\" 2}]", "x.json", "x.json:2:7: not JSON: "),
      ("[1, 2", "x.json", "x.json:1: the array does not end: the file seems to be cut off at byte 5"),
      ("{}", "x.json", "x.json:1: a .json file of rows is one array [ … ]; write one object a line as .jsonl"),
      ("[1] 2", "x.json", "x.json:1: there is text after the array, from byte 3"),
      ("", "x.jsonl", "x.jsonl': it holds no rows; there is nothing to train on"),
      ("[]", "x.json", "x.json': it holds no rows; there is nothing to train on"),
      ("a,b", "x.parquet", "x.parquet': it is not sound Parquet: it does not end as one"),
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
    #expect(first.weights == [0, 0, 0, 0.5] && first.tools == [["type": "function", "function": ["name": "t"]]])
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
    #expect(second.tools == [["type": "function", "function": ["name": "f"]]])
  }

  @Test(
    "a row of no layout, or with a wrong field, says what it has and what is expected",
    arguments: [
      (#"{"q":1}"#, "x:1: no known layout has the keys 'q'; expected 'messages'"),
      (#"{"conversations":[{"from":"bot","value":"A"}]}"#, "x:1: conversations[0]: 'from' is 'bot', expected one of"),
      (#"{"messages":[{"role":"user","content":"Q"}]}"#, "x:1: there is no turn of the assistant"),
      (#"{"prompt":1,"completion":"A"}"#, "x:1: 'prompt' and 'completion' must be texts"),
      (
        #"{"messages":[{"role":"assistant","function_call":{"name":"f"}}]}"#,
        "x:1: messages[0]: 'function_call' and the role 'function' are not read"
      ),
      (
        #"{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}]}"#,
        "x:1: messages[0]: tool_calls[0]: the arguments of a tool call are not JSON: '{'"
      ),
      (
        #"{"conversations":[{"from":"function_call","value":"f(x)"}]}"#,
        "x:1: conversations[0]: a function_call is {\"name\""
      ),
      (#"{"messages":[{"role":"assistant","content":""}],"tools":"{"}"#, "x:1: 'tools' must be a JSON list"),
      (#"{"messages":[{"role":"assistant","content":""}],"tools":[1]}"#, "x:1: tools[0] must be an object"),
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
