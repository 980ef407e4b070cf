import AngelCore
import Testing

@Suite("JSON")
struct JSONValueTests {
  @Test("a document survives parsing and encoding with its key order")
  func roundTrip() throws {
    let text = #"{"b":[1,-2.5,true,null],"a":{"é":"\u0000\n\"\\😀"},"n":123456789012345680000}"#
    let value = try JSONValue(parsing: text)
    #expect(value["b"]?.array?.count == 4)
    #expect(value["a"]?["é"]?.string == "\0\n\"\\😀")
    #expect(value["n"] == .number(1.2345678901234568e20))
    #expect(try JSONValue(parsing: value.encoded()) == value)
    #expect(value.object?.members.map(\.key) == ["b", "a", "n"])
  }

  @Test("surrogate pairs become one scalar, lone halves are refused")
  func surrogates() throws {
    #expect(try JSONValue(parsing: #""\ud83d\ude00""#) == "😀")
    for text in [#""\ud83d""#, #""\ude00""#, #""\ud83dx""#, #""\ud83dA""#] {
      #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
    }
  }

  @Test("canonically equivalent keys are different keys, in small and large objects")
  func exactKeys() throws {
    var object = try #require(try JSONValue(parsing: "{\"\u{E9}\":1,\"e\u{301}\":2}").object)
    #expect(object.members.count == 2 && object["\u{E9}"] == 1 && object["e\u{301}"] == 2)
    for index in 0..<40 { object["k\(index)"] = .integer(index) }
    #expect(object["\u{E9}"] == 1 && object["e\u{301}"] == 2 && object["k39"] == 39)
  }

  @Test(
    "malformed texts are refused",
    arguments: ["", "{", "[1,]", "{\"a\"}", "01", "1.", "tru", "\"\u{1}\"", "[1] 2", "1e999", "nul", "{\"a\":1,}", "-"])
  func malformed(text: String) { #expect(throws: JSONError.self) { try JSONValue(parsing: text) } }

  @Test("nesting beyond the limit is refused, not overflowed")
  func depth() {
    #expect(throws: JSONError.self) { try JSONValue(parsing: String(repeating: "[", count: 100_000)) }
  }

  @Test("invalid UTF-8 is refused with its place")
  func invalidUTF8() {
    #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22] as [UInt8]) }
  }
}
