import AngelGrammar
import Testing

@Suite struct GBNFTests {
  struct Case: Sendable {
    let grammar: String
    var accepted: [String] = []
    var refused: [String] = []
  }

  @Test(
    "GBNF grammars accept what they say and nothing else",
    arguments: [
      Case(grammar: #"root ::= "yes" | "no""#, accepted: ["yes", "no"], refused: ["", "ye", "yesno", "Yes"]),
      Case(
        grammar: "root ::= [a-c]+ [^0-9\\n]", accepted: ["ab", "a!", "ccé", "a世"], refused: ["a", "a1", "d!", "a\n"]),
      Case(
        grammar: "root ::= (\n  \"a\" # comment\n  | \"b\"\n)* \"!\"\n# end\n", accepted: ["!", "aab!"],
        refused: ["", "ac!"]),
      Case(
        grammar: #"root ::= "a"{2,3} "b"{2} "c"{1,}"#, accepted: ["aabbc", "aaabbccc"],
        refused: ["abbc", "aabbb", "aabb"]),
      Case(
        grammar: #"root ::= x? y | "z"?"# + "\nx ::= \"x\"\ny ::= \"y\" root", accepted: ["", "z", "xyz", "yyxy"],
        refused: ["x", "zy"]),
      Case(grammar: #"root ::= "\x41é\U0001F600\t\"" ."#, accepted: ["Aé😀\t\"x", "Aé😀\t\"世"], refused: ["Aé😀\t\""]),
      Case(
        grammar: "root ::= balanced\nbalanced ::= \"(\" balanced \")\" balanced |", accepted: ["", "()", "(()())()"],
        refused: ["(", ")(", "(()"]),
      Case(grammar: #"root ::= "abc"+"#, accepted: ["abc", "abcabc"], refused: ["abcc"]),
    ])
  func languages(_ example: Case) throws {
    for text in example.accepted { #expect(try OutputFormat.grammar(example.grammar).accepts(text), "\(text)") }
    for text in example.refused { #expect(try !OutputFormat.grammar(example.grammar).accepts(text), "\(text)") }
  }

  @Test(
    "what is wrong with a GBNF grammar is named with its place",
    arguments: [
      ("", "the grammar is wrong at line 1, column 1: there is no rule 'root'"),
      ("root ::= a\n", "line 1 of the grammar uses rule 'a', which is not defined"),
      ("root = \"a\"", "the grammar is wrong at line 1, column 6: expected '::=' after 'root'"),
      ("root ::= \"a", "the grammar is wrong at line 1, column 12: the grammar ends inside a text in quotes"),
      (
        "root ::= \"a\"\n\nx ::= [b",
        "the grammar is wrong at line 3, column 9: the grammar ends inside a class in brackets"
      ),
      ("root ::= (\"a\"", "the grammar is wrong at line 1, column 14: expected ')'"),
      ("root ::= \"a\"\nroot ::= \"b\"", "the grammar is wrong at line 2, column 1: rule 'root' is defined twice"),
      (
        "root ::= <think>",
        "the grammar is wrong at line 1, column 10: tokens ('<…>') are not supported: write the text of the token in quotes"
      ),
      ("root ::= \"a\"{3,2}", "the grammar is wrong at line 1, column 18: at least 3 and at most 2 cannot be"),
      ("root ::= \"\\q\"", "the grammar is wrong at line 1, column 13: unknown escape '\\q'"),
      ("root ::= [z-a]", "the grammar is wrong at line 1, column 14: the range ends before it begins"),
      (
        "root ::= root \"a\" | \"b\"",
        "the grammar's rule 'root' begins with itself (root → root): write the repetition with * or +"
      ),
      (
        "root ::= a\na ::= \"x\"? b\nb ::= a \"y\" | \"z\"",
        "the grammar's rule 'b' begins with itself (b → a → b): write the repetition with * or +"
      ),
      ("root ::= \"a\" root", "the grammar's rule 'root' has no end: give it an alternative without itself"),
      (
        "root ::= (\"a\"{1000}){1000}",
        "the grammar has more than 262,144 states: use smaller repetition counts or fewer alternatives"
      ),
      (
        "root ::= \"a\"{99999999999999999999}",
        "the grammar has more than 262,144 states: use smaller repetition counts or fewer alternatives"
      ),
    ])
  func refusals(_ grammar: String, _ message: String) { #expect(OutputFormat.grammar(grammar).refusal == message) }

  @Test("groups that are nested too deeply are refused")
  func depth() {
    let text = "root ::= " + String(repeating: "(", count: 200) + "\"a\"" + String(repeating: ")", count: 200)
    #expect(OutputFormat.grammar(text).refusal?.contains("nested deeper than 100") == true)
    let signs = "root ::= \"a\"" + String(repeating: "+", count: 100_000)
    #expect(OutputFormat.grammar(signs).refusal?.contains("more than 8 repetitions of a repetition") == true)
  }
}
