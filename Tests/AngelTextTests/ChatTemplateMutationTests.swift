import AngelCore
import AngelTesting
import FoundationEssentials
import Testing

@testable import AngelText

/// Damaged and hostile templates give a text or an error, within the limits, on a small stack.
@Suite("Chat template robustness")
struct ChatTemplateMutationTests {
  /// SplitMix64: the same cases on every machine.
  private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }

  private static let fragments = [
    "{{", "}}", "{%", "%}", "{#", "#}", "{%-", "-%}", "(", ")", "[", "]", "{", "}", "'", "\"", "|", ".", ",", ":", "~",
    "+",
    "-", "*", "**", "//", "%", "==", "<", " is ", " not ", " in ", " and ", " or ", " if ", " else ", "0", "-1",
    "9223372036854775807",
    "1e308", "'x'", "[]", "{}", "none", "true", "messages", "tools", "loop", "ns", "range(99999)", "namespace(a=1)",
    "|list", "|join",
    "|tojson", "|length", "|sort", "|map('upper')", "|batch(3)", "|int", "|replace('', 'y')", "[::-1]", "[1:]",
    ".split()", ".items()",
    ".format(1)", "'%s %5d'", "{% endif %}", "{% endfor %}", "{% if true %}", "{% for x in messages %}", "{% break %}",
    "{% set x = messages %}", "{% set ns = namespace() %}", "{% macro m(a) %}", "{% endmacro %}", "{{ m(1) }}",
    "{% raw %}", "\\", "\n", "é",
    "\u{1F30D}", "\u{0}",
  ]

  private static func mutated(_ source: String, _ generator: inout Generator) -> String {
    var bytes = Array(source.utf8)
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let position = Int.random(in: 0...bytes.count, using: &generator)
      let end = min(bytes.count, position + Int.random(in: 0...24, using: &generator))
      switch Int.random(in: 0..<5, using: &generator) {
      case 0: bytes.removeSubrange(position..<end)
      case 1: bytes.insert(contentsOf: bytes[position..<end], at: Int.random(in: 0...bytes.count, using: &generator))
      case 2: if position < bytes.count { bytes[position] = UInt8.random(in: .min ... .max, using: &generator) }
      case 3: bytes.replaceSubrange(position..<end, with: (fragments.randomElement(using: &generator) ?? "").utf8)
      default: bytes.insert(contentsOf: (fragments.randomElement(using: &generator) ?? "").utf8, at: position)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Limits small enough for thousands of cases.
  private static var limits: ChatTemplateLimits {
    var limits = ChatTemplateLimits()
    limits.steps = 20_000
    limits.outputBytes = 1 << 16
    limits.builtBytes = 1 << 22
    return limits
  }

  /// The error that `source` ends in, nil for a text; the text must respect the limits.
  private static func outcome(
    _ source: String, _ variables: JSONObject = JSONObject(), limits: ChatTemplateLimits = ChatTemplateLimits()
  ) -> ChatTemplateError? {
    do throws(ChatTemplateError) {
      let text = try ChatTemplate(source).render(variables, limits: limits, now: 0)
      #expect(text.utf8.count <= limits.outputBytes)
      return nil
    } catch {
      #expect(!error.description.isEmpty)
      return error
    }
  }

  private static func isLimit(_ error: ChatTemplateError?) -> Bool {
    if case .limit? = error { true } else { false }
  }

  @Test("damaged family templates end in a text or an error")
  func mutations() {
    let cases = ProcessInfo.processInfo.environment["ANGEL_TEST_ALL"] == "1" ? 20_000 : 2_000
    let sources = ChatTemplateGoldens.shared.templates.map(\.source)
    let conversations = ChatTemplateGoldens.shared.families.prefix(19).map(\.variables)
    var generator = Generator(state: 20_240_726)
    var texts = 0
    for number in 0..<cases {
      let source = Self.mutated(sources[number % sources.count], &generator)
      guard let variables = conversations.randomElement(using: &generator) else { continue }
      if Self.outcome(source, variables, limits: Self.limits) == nil { texts += 1 }
    }
    // Both ends must be reached for the test to mean anything.
    #expect(texts > cases / 20 && texts < cases * 19 / 20)
  }

  @Test("damaged small templates end in a text or an error")
  func smallMutations() {
    let cases = ProcessInfo.processInfo.environment["ANGEL_TEST_ALL"] == "1" ? 20_000 : 2_000
    let small = ChatTemplateGoldens.shared.small
    var generator = Generator(state: 7)
    for number in 0..<cases {
      let golden = small[number % small.count]
      _ = Self.outcome(Self.mutated(golden.source, &generator), golden.variables, limits: Self.limits)
    }
  }

  static let deepSources: [String] = {
    let repeated = { (text: String) in String(repeating: text, count: 3_000) }
    return [
      String(repeating: "{% if 1 %}", count: 100_000), "{{ " + String(repeating: "(", count: 100_000),
      "{{ " + repeated("[") + repeated("]") + " }}", "{{ " + repeated("{1:"), "{{ " + repeated("not ") + "1 }}",
      "{{ " + repeated("-") + "1 }}", "{{ " + repeated("a(") + " }}", "{{ " + repeated("a[") + " }}",
      "{{ " + repeated("1 if 1 else ") + "2 }}",
      "{{ 1 " + repeated("if 1 ") + " }}", "{{ 1" + repeated("|default(1") + " }}",
      "{{ 1" + repeated(" is eq -[1") + " }}",
      repeated("{% for x in [1] %}"), repeated("{% macro m() %}"), repeated("{% set x %}"),
      repeated("{% filter upper %}"), repeated("{% with %}"), repeated("{% generation %}"),
      "{% set " + repeated("(") + "a = 1 %}",
      "{% for " + repeated("(") + "a in b %}{% endfor %}",
    ]
  }()

  @Test("nesting of every kind is limited", arguments: deepSources.indices)
  func nesting(_ index: Int) {
    let error = Self.outcome(Self.deepSources[index])
    #expect(error != nil, "case \(index)")
  }

  @Test("long chains are no nesting")
  func chains() throws {
    let long = { (piece: String) in "{{ x" + String(repeating: piece, count: 2_000) + " }}" }
    let variables = JSONObject([("x", 1)])
    #expect(try ChatTemplate(long(" + 1")).render(variables) == "2001")
    #expect(try ChatTemplate(long("|abs")).render(variables) == "1")
    #expect(try ChatTemplate(long(" and 1")).render(variables) == "1")
    #expect(try ChatTemplate(long(" ~ ''")).render(variables) == "1")
    #expect(try ChatTemplate(long(" <= 1")).render(variables) == "True")
    let branches = "{% if x > 1 %}a" + String(repeating: "{% elif x > 1 %}b", count: 2_000) + "{% endif %}"
    #expect(try ChatTemplate(branches).render(variables) == "")
  }

  @Test(
    "work, memory, output and recursion are limited",
    arguments: [
      "{{ 'x' * 10**9 }}", "{{ 'x' * 10**18 }}", "{{ [1] * 10**9 }}", "{{ 'x'|center(10**15) }}",
      "{{ 'a'.ljust(10**12) }}",
      "{{ '%1000000000d' % 1 }}", "{{ '{:1000000000}'.format(1) }}", "{{ 'a\\nb'|indent(10**12) }}",
      "{{ [1]|tojson(indent=10**12) }}",
      "{{ [1]|batch(10**12, 0)|list }}", "{{ [1]|slice(10**12)|list }}", "{{ '7'.zfill(10**12) }}",
      "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(9) %}{% endfor %}{% endfor %}{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for a in range(99999) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for a in range(99999) %}{% set ns.s = ns.s|replace('', ns.s) %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for a in range(99999) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for a in range(99999) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for a in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
      "{% set ns = namespace(s=[1]) %}{% for a in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}"
        + "{{ ns.s|tojson }}",
      "{% set ns = namespace(s=[1], t=[1]) %}{% for a in range(60) %}{% set ns.s = [ns.s, ns.s] %}"
        + "{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}",
      "{% set ns = namespace(s={}) %}{% for a in range(99999) %}{% set ns.s = {'a': ns.s} %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for a in range(99999) %}{% for b in ns.s %}{% set ns.s = [loop] %}"
        + "{% endfor %}{% endfor %}",
      "{% set ns = namespace(s=1) %}{% for a in range(99999) %}{% set ns.s = cycler(ns.s) %}{% endfor %}",
      "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro m(x) %}{{ m([x]) }}{% endmacro %}{{ m(1) }}",
      "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
      "{% set x = 'ab' * 400000 %}{% for a in range(99999) %}{% if 'ba' * 3 + 'c' in x %}{% endif %}{% endfor %}",
      "{% set x = 'x' * 100000 %}{% for a in range(99999) %}{{ x }}{% endfor %}",
      "{% set x = 'a' * 100000 %}{{ (x ~ 'b') in (x ~ x) }}{% for a in range(99999) %}{{ x.count('aa') }}{% endfor %}",
    ])
  func budgets(_ source: String) {
    var limits = ChatTemplateLimits()
    limits.steps = 20_000
    limits.builtBytes = 16 << 20
    limits.outputBytes = 1 << 20
    #expect(Self.isLimit(Self.outcome(source, limits: limits)), "\(source)")
  }

  @Test("a chain of namespaces is freed without recursion")
  func namespaces() {
    let source =
      "{% set ns = namespace() %}{% set h = namespace(n=ns) %}"
      + "{% for a in range(20000) %}{% set x = namespace(n=h.n) %}{% set h.n = x %}{% endfor %}done"
    #expect(Self.outcome(source) == nil)
  }

  @Test("the deepest evaluation fits a stack of 2 MiB, even without optimisation")
  func smallStack() throws {
    let parentheses = "{{ " + String(repeating: "(", count: 96) + "1" + String(repeating: ")", count: 96) + " }}"
    let lists = "{{ " + String(repeating: "[", count: 96) + String(repeating: "]", count: 96) + "|tojson }}"
    let recursion =
      "{% macro m(n) %}{% if true %}{% for x in [1] %}{{ [m(n + 1)] }}{% endfor %}{% endif %}{% endmacro %}{{ m(0) }}"
    let values =
      "{% set ns = namespace(s=[]) %}{% for a in range(290) %}{% set ns.s = [ns.s] %}{% endfor %}"
      + "{{ ns.s|tojson|length }}{{ ns.s }}"
    let thread = try DedicatedThread(stackByteCount: 2 << 20) {
      #expect(Self.outcome(parentheses) == nil)
      #expect(Self.outcome(lists) == nil)
      #expect(Self.isLimit(Self.outcome(recursion)))
      #expect(Self.outcome(values) == nil)
    }
    thread.join()
  }
}
