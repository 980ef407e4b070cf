import AngelCore
import AngelTesting
import AngelText
import Glibc
import Testing

/// From messages to tokens, as `apply_chat_template` of transformers does (Scripts/goldens/chat_tokens.py).
@Suite("Conversations as tokens")
struct ChatTokenTests {
  @Test("template and tokenizer together give transformers' tokens, for every family's pair")
  func tokens() throws {
    let goldens = ChatTemplateGoldens.shared
    let templates = Dictionary(uniqueKeysWithValues: goldens.templates.map { ($0.name, $0.source) })
    let cases = try #require(try Goldens.json("templates/tokens.json").array)
    #expect(cases.count > 100)
    var tokenizers: [String: Tokenizer] = [:]
    for golden in cases {
      func text(_ key: String) -> String { golden[key]?.string ?? "" }
      let name = text("tokenizer")
      let tokenizer = try tokenizers[name] ?? TokenizerGoldens.tokenizer(name)
      tokenizers[name] = tokenizer
      var variables = try #require(goldens.conversation(text("conversation")))
      (variables["bos_token"], variables["eos_token"]) = (golden["bos_token"], golden["eos_token"])
      let prompt = try ChatTemplate(templates[text("template")] ?? "").render(variables, now: goldens.now)
      // The template has written what begins a text already.
      let tokens = try tokenizer.encode(prompt, addingSpecialTokens: false, parsingSpecialTokens: true)
      #expect(
        tokens == golden["tokens"]?.array?.compactMap { $0.integer.map(Int32.init) },
        "\(text("template")), \(name), \(text("conversation"))")
    }
  }

  @Test(
    "other people's templates render as the reference Jinja2 does",
    .enabled(if: getenv("ANGEL_TEMPLATE_CASES") != nil, "names a file by Scripts/goldens/chat_templates.py"))
  func othersTemplates() throws {
    let path = getenv("ANGEL_TEMPLATE_CASES").map { String(cString: $0) } ?? ""
    let goldens = ChatTemplateGoldens(try JSONValue(parsing: TemporaryFolder.read(path)))
    var wrong: [String] = []
    for golden in goldens.families {
      var found: String?
      do throws(ChatTemplateError) {
        found = try ChatTemplate(golden.source).render(golden.variables, now: goldens.now)
      } catch {
        if case .raised(let message) = error { found = "raised: " + message }
      }
      let expected = golden.output ?? golden.raised.map { "raised: " + $0 }
      if found.map({ Array($0.utf8) }) != expected.map({ Array($0.utf8) }) { wrong.append(golden.name) }
    }
    #expect(wrong == [], "\(wrong.count) of \(goldens.families.count)")
  }
}
