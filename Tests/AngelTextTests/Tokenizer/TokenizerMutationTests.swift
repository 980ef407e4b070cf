import AngelCore
import AngelText
import FoundationEssentials
import Testing

@Suite("Damaged tokenizer files")
struct TokenizerMutationTests {
  static let cases = ProcessInfo.processInfo.environment["ANGEL_TEST_ALL"] == "1" ? 20_000 : 2_000

  /// A file with every kind of field, small enough to read thousands of times.
  static let small: [UInt8] = Array(
    #"""
    {"added_tokens":[{"id":7,"content":"<s>","special":true,"lstrip":true,"rstrip":false,"single_word":false,"normalized":false},
    {"id":8,"content":"xy","special":false,"single_word":true,"normalized":true}],
    "normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Replace","pattern":{"String":"q"},"content":"ab"}]},
    "pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"},"behavior":"Isolated","invert":false},
    {"type":"Digits","individual_digits":true},{"type":"Split","pattern":{"String":"->"},"behavior":"MergedWithNext","invert":true},
    {"type":"ByteLevel","add_prefix_space":true,"use_regex":true}]},
    "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"id":"<s>","ids":[7],"tokens":["<s>"]}}},
    "decoder":{"type":"ByteLevel"},
    "model":{"type":"BPE","dropout":null,"unk_token":"<s>","fuse_unk":false,"byte_fallback":false,"ignore_merges":true,
    "vocab":{"a":0,"b":1,"ab":2,"\u0120":3,"\u0120a":4,"c":5,"abc":6},"merges":["a b",["ab","c"],"\u0120 a"]}}
    """#.utf8)

  static let texts: [[UInt8]] = [
    Array("ab abc it's <s> 12345 xy -> \n\n q".utf8), [0xF0, 0x9F, 0x98, 0x61, 0xCC, 0x81, 0xFF], [],
  ]

  /// Reads and, where that works, uses a file; anything but a trap is right.
  static func use(_ json: JSONValue) throws {
    let tokenizer = try Tokenizer(TokenizerDescription(tokenizerJSON: json, tokenizerConfiguration: json))
    for text in texts {
      let tokens = try tokenizer.encode(text)
      #expect(tokens.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
      _ = try tokenizer.decode(tokens)
    }
  }

  @Test("the file itself works")
  func intact() throws { try Self.use(JSONValue(parsing: Self.small)) }

  @Test("flipped, cut and doubled bytes give an error or a working tokenizer")
  func bytes() throws {
    var random = SeededTestGenerator(state: 11)
    var accepted = 0
    for _ in 0..<Self.cases {
      var bytes = Self.small
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let position = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[position] = UInt8.random(in: 32..<127, using: &random)
        case 2: bytes.removeSubrange(position..<min(bytes.count, position + Int.random(in: 1...4, using: &random)))
        case 3: bytes.insert(contentsOf: bytes[position..<min(bytes.count, position + 6)], at: position)
        default: if Int.random(in: 0..<8, using: &random) == 0 { bytes.removeSubrange(max(1, position)...) }
        }
        if bytes.isEmpty { bytes = [0x20] }
      }
      guard let json = try? JSONValue(parsing: bytes) else { continue }
      do {
        try Self.use(json)
        accepted += 1
      } catch let error as TokenizerError { #expect(!"\(error)".isEmpty) }
    }
    #expect(accepted > 0)
  }

  @Test("values in each other's places give an error or a working tokenizer")
  func values() throws {
    let json = try JSONValue(parsing: Self.small)
    let strange: [JSONValue] = [
      nil, true, -1, 0, 8, 4_294_967_296, 1e300, "", "a b", "\u{0}", "ByteLevel", "Sequence", "(", "(?R)", ".*", "a*?",
      #"\K"#, #"(?=a\K)"#, #"(?<=a)"#, "(*LIMIT_MATCH=1)a", [], [[]], [:], ["type": "Sequence"], ["a": 0], ["ids": [9]],
    ]
    var values: [JSONValue] = strange
    Self.collect(json, into: &values)
    var random = SeededTestGenerator(state: 12)
    var accepted = 0
    for _ in 0..<Self.cases {
      var target = Int.random(in: 0..<(values.count - strange.count), using: &random)
      let replacement = values[Int.random(in: 0..<values.count, using: &random)]
      do {
        try Self.use(Self.replacing(json, &target, by: replacement))
        accepted += 1
      } catch let error as TokenizerError { #expect(!"\(error)".isEmpty) }
    }
    #expect(accepted > 0)
  }

  static func collect(_ json: JSONValue, into values: inout [JSONValue]) {
    values.append(json)
    switch json {
    case .array(let list): for value in list { collect(value, into: &values) }
    case .object(let object): for member in object.members { collect(member.value, into: &values) }
    case .null, .bool, .integer, .number, .string: break
    }
  }

  /// `json` with its value number `target`, counted in `collect`'s order, replaced.
  static func replacing(_ json: JSONValue, _ target: inout Int, by replacement: JSONValue) -> JSONValue {
    target -= 1
    if target == -1 { return replacement }
    switch json {
    case .array(let list): return .array(list.map { replacing($0, &target, by: replacement) })
    case .object(let object):
      var members: [(String, JSONValue)] = []
      for member in object.members { members.append((member.key, replacing(member.value, &target, by: replacement))) }
      return .object(JSONObject(members))
    case .null, .bool, .integer, .number, .string: return json
    }
  }
}
