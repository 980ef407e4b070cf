import AngelGrammar
import Testing

@Suite struct RegularExpressionTests {
  @Test(
    "regular expressions match whole texts",
    arguments: [
      (#"\d{4}-\d\d"#, ["1815-12"], ["815-12", "1815-123", "١٨١٥-12"]),
      ("^(yes|no)$", ["yes", "no"], ["yes!", ""]),
      ("a+?b*|c", ["a", "aabb", "c"], ["b", "ac"]),
      (#"[\w.-]+@\w+\.(com|org)"#, ["a.b-c@d.org"], ["@d.com", "a@d.net"]),
      (#"(?:x(?<name>y)?)+"#, ["x", "xyx"], ["y", "xyy"]),
      (#"[^\s"]*\u00e9\x41"#, ["éA", "wordéA"], ["a éA"]),
      (".", ["a", "世", "😀"], ["", "\n", "ab"]),
      (#"[]a]"#, [], []),
      (#"a{0,3}"#, ["", "aaa"], ["aaaa"]),
      ("", [""], ["a"]),
    ].filter { !$0.1.isEmpty })
  func languages(_ expression: String, _ accepted: [String], _ refused: [String]) throws {
    for text in accepted { #expect(try OutputFormat.regularExpression(expression).accepts(text), "\(text)") }
    for text in refused { #expect(try !OutputFormat.regularExpression(expression).accepts(text), "\(text)") }
  }

  @Test(
    "constructs of regular expressions that are not supported are named with their place",
    arguments: [
      ("a(?=b)", 1, "groups that look around, name back or set flags are not supported"),
      ("(?<!a)b", 0, "groups that look around, name back or set flags are not supported"),
      ("(?i)a", 0, "groups that look around, name back or set flags are not supported"),
      (#"(a)\1"#, 3, #"'\1' is not supported"#),
      (#"\bword"#, 0, #"'\b' is not supported"#),
      (#"a\p{L}"#, 1, #"'\p' is not supported"#),
      ("a++", 2, "possessive repetitions are not supported"),
      ("a**", 2, "a repetition of a repetition"),
      ("*a", 0, "'*' has nothing to repeat"),
      ("a{,3}", 2, "expected a number; '{' as a character must be written '\\{'"),
      ("a}", 1, "'}' as a character must be written '\\}'"),
      ("(a", 2, "expected ')'"),
      ("a)", 1, "')' without '('"),
      ("a$b", 2, "'$' is supported at the end only"),
      ("a^", 1, "'^' is supported at the beginning only"),
      ("(^a)", 1, "'^' is supported at the beginning only"),
      ("[b-a]", 1, "a range must go from one character to a later one"),
      ("[abc", 4, "expected ']'"),
      ("a\\", 2, "the expression ends after '\\'"),
      (#"\ud800"#, 6, "halves of surrogate pairs are not supported"),
    ])
  func refusals(_ expression: String, _ offset: Int, _ reason: String) {
    #expect(
      OutputFormat.regularExpression(expression).refusal
        == "the regular expression cannot be used, at character \(offset): \(reason)")
  }

  @Test("a choice is one of its texts")
  func choice() throws {
    let format = OutputFormat.choice(["red", "green", "réd"])
    #expect(try format.accepts("réd") && format.accepts("green"))
    #expect(try !format.accepts("re") && !format.accepts("redgreen"))
  }
}
