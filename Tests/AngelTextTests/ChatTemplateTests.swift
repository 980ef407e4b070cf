import AngelCore
import Testing

@testable import AngelText

@Suite("Chat templates")
struct ChatTemplateTests {
  /// What a case came to; equal as bytes, since Swift's own equality would hide normalisation.
  private enum Outcome: Equatable, CustomStringConvertible {
    case text([UInt8])
    case raised(String)
    case failed

    var description: String {
      switch self {
      case .text(let bytes): "\"\(String(decoding: bytes, as: UTF8.self))\""
      case .raised(let message): "raised: \(message)"
      case .failed: "failed"
      }
    }
  }

  private func check(_ golden: ChatTemplateGoldens.Case) {
    let expected: Outcome =
      golden.output.map { .text(Array($0.utf8)) } ?? golden.raised.map { .raised($0) } ?? .failed
    var reason = ""
    var found = Outcome.failed
    do throws(ChatTemplateError) {
      let text = try ChatTemplate(golden.source).render(golden.variables, now: ChatTemplateGoldens.shared.now)
      found = .text(Array(text.utf8))
    } catch {
      reason = error.description
      if case .raised(let message) = error { found = .raised(message) }
    }
    #expect(found == expected, "\(golden.name)\n\(reason)")
  }

  @Test("templates of all families render as the reference Jinja2 does")
  func families() {
    #expect(ChatTemplateGoldens.shared.families.count > 150)
    for golden in ChatTemplateGoldens.shared.families { check(golden) }
  }

  @Test("expressions and statements render as the reference Jinja2 does")
  func small() {
    #expect(ChatTemplateGoldens.shared.small.count > 500)
    for golden in ChatTemplateGoldens.shared.small { check(golden) }
  }
}
