import AngelCheckpoint
import AngelCore
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("The run's page") struct RunReportTests {
  @Test("a run writes a page that has everything and asks nothing of the network")
  func page() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["tokenizer=byte", "training.steps=12", "output.samples=[\"to <be>\"]"]))
    let html = String(decoding: try TemporaryFolder.read(run.folder("run/report.html")), as: UTF8.self)
    #expect(html.hasPrefix("<!doctype html>") && html.hasSuffix("</main></body></html>\n"))
    for heading in ["Curves", "Updates by part", "Samples", "Data", "Memory", "Recipe", "Environment", "Hashes"] {
      #expect(html.contains("<h2>\(heading)"), "\(heading)")
    }
    // Nothing is fetched: no address but the name space of SVG.
    let addresses = html.split(separator: "http").dropFirst().map { $0.prefix(24) }
    #expect(addresses.allSatisfy { $0.hasPrefix("://www.w3.org/2000/svg") }, "\(addresses)")
    for word in ["src=", "href=", "@import", "url(", "<script"] { #expect(!html.contains(word), "\(word)") }
    #expect(html.contains("to &lt;be&gt;") && !html.contains("to <be>"))
    #expect(html.components(of: "<svg") == 5)
    // Every file that came out has its digest there.
    let model = try TemporaryFolder.read(run.folder("run/model/model.safetensors"))
    #expect(html.contains(SHA256.hexadecimal(of: model)))
    let data = try TemporaryFolder.read(run.folder("data.txt"))
    #expect(html.contains(SHA256.hexadecimal(of: data)))
    #expect(html.contains("learning_rate: 0.01"))
  }

  @Test("steps that were left out are on the page, with the place")
  func skipped() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["training.steps=2"]))
    let plan = try #require(run.plan)
    let report = RunReport(
      folder: "runs/x", recipe: try run.recipe(), plan: plan, statistics: try #require(run.statistics),
      lines: [
        ["step": 1, "loss": 2.5],
        ["step": 2, "loss": 2.4, "skipped": "the loss is not finite", "first_not_finite": "layer 3, forward"],
      ], environment: [("angel", "0")])
    #expect(report.html.contains("Steps left out: 1") && report.html.contains("layer 3, forward"))
  }
}

extension String {
  /// How often `part` is in this text.
  fileprivate func components(of part: String) -> Int {
    split(separator: part, omittingEmptySubsequences: false).count - 1
  }
}
