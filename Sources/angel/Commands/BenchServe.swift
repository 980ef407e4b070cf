import AngelCore
import AngelServer

/// `angel bench serve URL`: a server under load, in the manner of `vllm bench serve`; options and JSON have its names.
enum BenchServe {
  /// Lengths of prompts and answers.
  enum Dataset: String, CaseIterable, Sendable { case random, sharegpt }

  static let prompts = Option<Int>.integer("num-prompts", default: 100, in: 1...1 << 20, help: "serve: requests in all")
  static let rate = Option<Double?>.number(
    "request-rate", in: 0.001...1e6, help: "serve: requests a second, at random times (default: all at once)")
  static let burstiness = Option<Double>.number(
    "burstiness", default: 1, in: 0.01...1000, help: "serve: 1: Poisson arrivals; smaller: in bursts; larger: steadier")
  static let concurrency = Option<Int?>.integer(
    "max-concurrency", in: 1...1024, help: "serve: the most requests under way at once (default: 1,024)")
  static let dataset = Option<Dataset>.choice(
    "dataset-name", default: .random, help: "serve: fixed lengths, or lengths spread like ShareGPT's")
  static let inputLength = Option<Int>.integer(
    "random-input-len", default: 64, in: 1...1 << 20, help: "serve: tokens of a prompt, or their mean for sharegpt")
  static let outputLength = Option<Int>.integer(
    "random-output-len", default: 32, in: 1...1 << 20, help: "serve: tokens of an answer, likewise")
  static let prefixLength = Option<Int>.integer(
    "random-prefix-len", default: 0, in: 0...1 << 20,
    help: "serve: tokens that all prompts begin with, beside their own")
  static let vocabulary = Option<Int>.integer(
    "vocabulary", default: 30_000, in: 200...1 << 24, help: "serve: prompts are random token ids below N")
  static let seed = Option<Int>.integer("load-seed", default: 0, in: 0...1 << 53, help: "serve: the same load again")
  static let model = Option.text("served-model", placeholder: "NAME", help: "serve: which of the server's models")
  static let key = Option.text("api-key", placeholder: "KEY", help: "serve: sent as the bearer of every request")
  static let warmups = Option<Int>.integer(
    "warmups", default: 1, in: 0...1000, help: "serve: requests before it counts")

  static let options = [
    prompts.declaration, rate.declaration, burstiness.declaration, concurrency.declaration, dataset.declaration,
    inputLength.declaration, outputLength.declaration, prefixLength.declaration, vocabulary.declaration,
    seed.declaration, model.declaration,
    key.declaration, warmups.declaration,
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let url = try arguments.required(1, "URL", BenchCommand.name)
    guard let place = HTTPClient.Place(url: url) else {
      throw UsageError(
        "'\(url)' is no address of a server: give one such as http://127.0.0.1:8000", command: BenchCommand.name)
    }
    let plan = ServingLoad(arguments)
    let client = BenchClient(place, model: arguments[model], key: arguments[key])
    for index in 0..<arguments[warmups] {
      try client.run(plan.requests[index % plan.requests.count])
    }
    let display = context.progress.start("requests", total: plan.requests.count, unit: .items("requests"))
    let workers = min(arguments[concurrency] ?? plan.requests.count, 1024)
    let (results, seconds) = try BenchRun.run(
      plan, workers: workers, client, report: { display.update(to: $0) })
    display.finish()
    let report = ServingReport(results, seconds: seconds)
    if context.printsJSON { return try context.print(report.json(arguments, model: arguments[model], url: url)) }
    try context.output.line(report.table)
    for failure in report.failures.prefix(3) { context.log.warning(failure) }
    if !report.failures.isEmpty { throw BenchServeError.failed(report.failures.count, of: results.count) }
  }
}

/// Why a measurement does not count.
enum BenchServeError: DescribedError, Equatable {
  case failed(Int, of: Int)
  case answer(status: Int, body: String)
  case empty

  var description: String {
    switch self {
    case .failed(let failed, let count): "\(failed) of \(count) requests failed"
    case .answer(let status, let body): "the server answered \(status): \(body.prefix(200))"
    case .empty: "the server's stream had no text"
    }
  }
}
