import AngelCore
import AngelServer
import AngelTesting
import Glibc
import Synchronization
import Testing

@testable import angel

/// `angel serve`, `angel keys` and `angel bench serve`, from the command line to a socket and back.
@Suite("Serving from the command line")
struct ServeCommandTests {
  let model = Goldens.path("models/llama-tiny")

  /// A command that runs on a thread of its own until it is asked to stop.
  private final class Running: Sendable {
    let interruption = Interruption()
    private let folder: TemporaryFolder
    private let result = Mailbox<Result<ProgramRunner.Outcome, any Error>>()

    init(_ words: [String]) throws {
      let folder = try TemporaryFolder()
      self.folder = folder
      try DedicatedThread { [interruption, result] in
        result.send(Result { try ProgramRunner(folder).run(words, interruption: interruption) })
      }.detach()
    }

    /// The first object on standard output; nil when the command ended without one.
    func firstObject() throws -> JSONValue? {
      for _ in 0..<6000 {
        if let bytes = try? TemporaryFolder.read(folder("output")), let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
          return try JSONValue(parsing: bytes[..<end])
        }
        usleep(5_000)
      }
      return nil
    }

    /// Asks it to stop and waits.
    func stop() throws -> ProgramRunner.Outcome {
      interruption.request()
      while true {
        if let result = result.receive(waits: true).first { return try result.get() }
      }
    }
  }

  @Test("a server tells its address, answers, is measured, and ends with 0")
  func serve() throws {
    let running = try Running(["serve", model, "--port", "0", "--json", "--log", "off", "--threads", "1"])
    let address = try #require(try running.firstObject())
    #expect(address["models"] == ["llama-tiny"], "\(address.encoded())")
    let url = try #require(address["url"]?.string)
    #expect(address["port"]?.integer.map { "http://127.0.0.1:\($0)" } == url)
    let client = try HTTPClient(try #require(HTTPClient.Place(url: url)), seconds: 60)
    try client.send("GET", "/ready")
    #expect(try client.response().text == #"{"status":"ready","model":"llama-tiny"}"#)

    let bench = try ProgramRunner(try TemporaryFolder()).run([
      "bench", "serve", url, "--num-prompts", "6", "--max-concurrency", "3", "--random-input-len", "5",
      "--random-output-len", "4", "--random-prefix-len", "20", "--vocabulary", "200", "--request-rate", "1000",
      "--json",
    ])
    #expect(bench.code == .success, "\(bench.errors)")
    let report = try bench.json
    #expect(report["completed"] == 6 && report["failed"] == 0)
    #expect(report["total_input_tokens"] == 150 && report["total_output_tokens"] == 24)
    #expect(report["max_concurrency"] == 3 && report["request_rate"]?.double == 1000)
    #expect((report["mean_ttft_ms"]?.double ?? 0) > 0 && (report["p99_e2el_ms"]?.double ?? 0) > 0)

    let outcome = try running.stop()
    #expect(outcome.code == .success, "\(outcome.errors)")
    #expect(throws: HTTPClientError.self) { _ = try HTTPClient(try #require(HTTPClient.Place(url: url))) }
  }

  @Test("what cannot be served is said before anything listens")
  func refusals() throws {
    let program = ProgramRunner(try TemporaryFolder())
    #expect(try program.run(["serve"]).code == .usage)
    #expect(try program.run(["serve", "no-such-model"]).code == .failure)
    let twice = try program.run(["serve", model, model])
    #expect(twice.code == .usage, "\(twice.errors)")
    let host = try program.run(["serve", model, "--host", "somewhere", "--port", "0"])
    #expect(host.code == .failure && host.errors.contains("'somewhere' is no numeric address"))
    let keys = try program.run(["serve", model, "--keys", "/nowhere/keys.json"])
    #expect(keys.code == .failure && keys.errors.contains("angel keys add"))
    let half = try program.run(["serve", model, "--tls-key", Goldens.path("models/README.md"), "--port", "0"])
    #expect(half.code == .failure && half.errors.contains("give both"))
  }

  @Test("keys are made, listed without secrets, and revoked")
  func keys() throws {
    let folder = try TemporaryFolder()
    let program = ProgramRunner(try TemporaryFolder())
    func keys(_ words: [String]) throws -> ProgramRunner.Outcome {
      try program.run(["keys"] + words + ["--keys", folder("keys.json"), "--json"])
    }
    let added = try keys(["add", "alice", "--endpoint", "/v1/embeddings", "--tokens-per-minute", "5"])
    let text = try #require(try added.json["key"]?.string)
    #expect(text.hasPrefix("ak-"))
    #expect(try keys(["add", "alice"]).code == .usage)
    #expect(try keys(["add", "bob", "--endpoint", "/v1/embedings"]).errors.contains("did you mean '/v1/embeddings'"))
    let list = try keys(["list"]).json["keys"]?.array
    #expect(list?.count == 1 && list?[0]["name"] == "alice" && list?[0]["tokens_per_minute"] == 5)
    #expect(list?[0]["digest"] == nil)
    #expect(try keys(["revoke", "bob"]).code == .usage)
    #expect(try keys(["revoke", "alice"]).code == .success)
    #expect(try keys(["list"]).json["keys"] == [])
  }

  @Test("percentiles lie between the two nearest values")
  func percentiles() {
    #expect(ServingReport.Times.percentile([], 0.5) == 0)
    #expect(ServingReport.Times.percentile([1, 2, 3, 4], 0.5) == 2.5)
    #expect(abs(ServingReport.Times.percentile((1...100).map(Double.init), 0.99) - 99.01) < 1e-9)
    let times = ServingReport.Times("x", "x", [0.001, 0.003])
    #expect(times.mean == 2 && times.deviation == 1 && times.median == 2)
  }
}
