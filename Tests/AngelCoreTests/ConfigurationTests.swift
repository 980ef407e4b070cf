import AngelTesting
import Testing

@testable import AngelCore

private struct Inner: Configurable {
  var rate = 0.5
  var names: [String] = []
  static let fields: [ConfigurationField<Self>] = [
    .value("rate", \.rate, in: 0...1, "how much"),
    .value("names", \.names, "which"),
  ]
}

private enum Mode: String, ConfigurationChoice { case slow, fast }

private struct Outer: Configurable {
  var steps = 10
  var mode = Mode.slow
  var limit: Int?
  var inner = Inner()
  var extra: Inner?
  static let fields: [ConfigurationField<Self>] = [
    .value("steps", \.steps, in: 1...1000, "how often"),
    .value("mode", \.mode, "how"),
    .value("limit", \.limit, in: 0...9, "at most"),
    .group("inner", \.inner, "the inner part"),
    .group("extra", \.extra, "an optional part"),
  ]
  func problems() -> [String] { steps == 13 ? ["steps is 13; choose another"] : [] }
}

private func parse(_ text: String) throws -> RecipeNode {
  try RecipeParser.parse(Array(text.utf8)) { .file(path: "r.yaml", line: $0, column: $1) }
}

private func problems(_ text: String, _ arguments: [String] = []) -> [String] {
  do {
    let recipe = try arguments.reduce(try parse(text)) { try $0.overlaid(with: $1) }
    _ = try Outer(recipe: recipe)
    return []
  } catch { return (error as? ConfigurationError)?.problems ?? ["\(error)"] }
}

@Suite("Recipes") struct ConfigurationTests {
  @Test("a recipe overlays defaults, arguments overlay the recipe")
  func overlay() throws {
    let recipe = try parse("steps: 5\nmode: fast\ninner:\n  names: [a, b]\n")
      .overlaid(with: "inner.rate=0.25").overlaid(with: "steps=1_000").overlaid(with: "extra.rate=1")
    let value = try Outer(recipe: recipe)
    #expect(value.steps == 1000 && value.mode == .fast && value.limit == nil)
    #expect(value.inner.rate == 0.25 && value.inner.names == ["a", "b"])
    #expect(value.extra?.rate == 1)
  }

  @Test("every problem is told at once, with its place and the nearest key")
  func allProblems() {
    #expect(
      problems("stepps: 5\nmode: quick\ninner:\n  rate: 3\nlimit: x\n") == [
        "r.yaml:1:1: unknown key 'stepps'; did you mean steps?",
        "r.yaml:2:7: mode is 'quick', expected one of slow, fast",
        "r.yaml:4:9: inner.rate is 3, expected a number from 0 to 1",
        "r.yaml:5:8: limit is 'x', expected a whole number from 0 to 9",
      ])
    #expect(
      problems("{}", ["inner.rat=0.1"]) == [
        "argument 'inner.rat=0.1': unknown key 'inner.rat'; did you mean inner.rate?"
      ])
    #expect(problems("steps: 13") == ["steps is 13; choose another"])
    #expect(problems("[]") == ["r.yaml:1:1: a recipe must be a group of keys, not a list of 0"])
  }

  @Test(
    "what YAML allows and a recipe does not is refused with its place",
    arguments: [
      ("", "the recipe at r.yaml:1:1 is empty"),
      ("steps: &a 5", "r.yaml:1:8: anchors, aliases and tags are not supported; write the value out"),
      ("inner: !x {}", "r.yaml:1:8: anchors, aliases and tags are not supported; write the value out"),
      ("steps: 1\nsteps: 2", "r.yaml:2:1: the key 'steps' is written twice"),
      ("steps: 1\n---\nsteps: 2", "a second document begins at r.yaml:2:1; a recipe is one"),
      ("steps: [1", "r.yaml:2:1: did not find expected ',' or ']'"),
    ])
  func refused(_ text: String, _ problem: String) { #expect(problems(text) == [problem]) }

  @Test("numbers are told from words as YAML 1.2 does")
  func scalars() {
    let expected: [(String, RecipeNode.Content)] = [
      ("1_000_000", .integer(1_000_000)), ("-3", .integer(-3)), ("1e-4", .number(1e-4)), (".5", .number(0.5)),
      ("0x10", .string("0x10")), ("nan", .string("nan")), ("1.2.3", .string("1.2.3")), ("yes", .string("yes")),
      ("~", .null), ("true", .bool(true)), ("1e999", .string("1e999")),
    ]
    for (text, content) in expected { #expect(RecipeParser.plain(text) == content, "\(text)") }
  }

  @Test("the resolved recipe reads back as the same configuration")
  func resolved() throws {
    var value = Outer()
    value.mode = .fast
    value.inner.names = ["a b", "3", "x"]
    value.extra = Inner()
    let text = value.yaml
    #expect(text.contains("steps: 10  # how often"))
    #expect(try Outer(recipe: parse(text)).json == value.json)
  }

  @Test("damaged recipes end in a value or an error")
  func mutations() throws {
    let recipe = Array("steps: 5\nmode: fast\ninner: {rate: 0.25, names: [a, \"b\"]}\n# end\n".utf8)
    var generator = PhiloxSequence(seed: 7)
    for _ in 0..<2000 {
      var bytes = recipe
      for _ in 0..<3 {
        bytes[Int(generator.next() % UInt32(bytes.count))] = UInt8(truncatingIfNeeded: generator.next())
      }
      if let node = try? RecipeParser.parse(bytes, origin: { .file(path: "x", line: $0, column: $1) }) {
        _ = try? Outer(recipe: node)
      }
    }
  }
}

/// Words of Philox one after the other.
private struct PhiloxSequence {
  let generator: PhiloxGenerator
  var position: UInt64 = 0
  init(seed: UInt64) { generator = PhiloxGenerator(seed: seed) }
  mutating func next() -> UInt32 {
    position += 1
    return generator.word(at: position)
  }
}
