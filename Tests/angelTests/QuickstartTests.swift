import AngelCore
import AngelPTM
import AngelTesting
import Glibc
import Testing

@testable import angel

@Suite("Quickstart's fine-tuning") struct QuickstartTests {
  let folder: TemporaryFolder
  let program: ProgramRunner
  private let words = ["quickstart", "--model", Goldens.path("models/llama-tiny"), "--max-tokens", "4"]

  init() throws {
    folder = try TemporaryFolder()
    program = ProgramRunner(folder)
  }

  private var runFolder: String { folder("home/quickstart/llama-tiny/run") }

  @Test(
    "it lowers the validation loss, serves what it taught over HTTP, and what it prints next works; so does a second time"
  )
  func teaches() throws {
    let result = try program.run(words + ["--json"])
    #expect(result.code == .success, "\(result.errors)")
    let tuned = try #require(try result.json["fine_tuning"])
    let (before, after) = (
      try #require(tuned["validation_loss"]?["before"]?.double),
      try #require(tuned["validation_loss"]?["after"]?.double)
    )
    #expect(after < before)
    let adapter = try #require(tuned["adapter"]?.string)
    #expect(adapter == runFolder + "/adapter" && FilePath.kind(adapter + "/adapter_model.safetensors") != nil)
    let answers = try #require(tuned["answers"]?.array)
    #expect(answers.count == 2 && answers.allSatisfy { $0["before"]?.string != nil && $0["after"]?.string != nil })

    let served = try #require(try result.json["serving"])
    let path = folder("home/quickstart/llama-tiny/llama-tiny-keeper")
    #expect(served["path"]?.string == path && served["model"] == "llama-tiny-keeper")
    #expect(served["url"]?.string?.hasPrefix("http://127.0.0.1:") == true && served["answer"]?.string != nil)
    #expect(served["request"]?["messages"]?.array?.count == 1 && served["request"]?["max_tokens"] == 4)
    let curl = try #require(served["curl"]?.string)
    #expect(curl.hasPrefix("curl http://127.0.0.1:8000/v1/chat/completions -H 'content-type: application/json' -d '{"))
    #expect(curl.count(where: { $0 == "'" }) == 4)
    let next = try #require(try result.json["next"]?.array).compactMap(\.string)
    #expect(next[0] == "angel serve \(path)")
    let beside = next[1].split(separator: " ").map(String.init)
    #expect(beside.starts(with: ["angel", "chat"]) && beside.suffix(2) == ["--adapter", adapter])
    let spoken = try program.run(Array(beside.dropFirst()) + ["--max-tokens", "2", "--json"], input: "hello\n")
    #expect(try spoken.code == .success && spoken.json["text"]?.string != nil, "\(spoken.errors)")

    // The server gave what the model that is left behind gives.
    let prompt = try #require(answers[0]["prompt"]?.string)
    let chat = try program.run(["chat", path, "--temperature", "0", "--max-tokens", "4"], input: prompt + "\n")
    #expect(chat.code == .success, "\(chat.errors)")
    #expect(chat.output.contains(try #require(served["answer"]?.string)), "\(chat.output)")

    let again = try program.run(words)
    #expect(again.code == .success, "\(again.errors)")
    for part in [
      "validation loss ", "before: ", "after:  ", "the adapter is at \(adapter)", "served as llama-tiny-keeper", curl,
      "--adapter \(adapter)",
    ] {
      #expect(again.output.contains(part), "\(part) in \(again.output)")
    }
  }

  @Test("--no-train leaves it out, and a model that cannot chat is told why")
  func leavesOut() throws {
    let plain = try program.run(words + ["--json", "--no-train"])
    #expect(try plain.code == .success && plain.json["fine_tuning"] == .null && plain.json["serving"] == .null)
    #expect(FilePath.kind(folder("home/quickstart")) == nil)

    let model = Goldens.path("models/llama-tiny/")
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
      try folder.link(model + name, as: "bare-" + name)
    }
    mkdir(folder("bare"), 0o755)
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
      rename(folder("bare-" + name), folder("bare/" + name))
    }
    let bare = try program.run(["quickstart", "--model", folder("bare"), "--max-tokens", "2"])
    #expect(bare.code == .success, "\(bare.errors)")
    #expect(bare.output.contains("not fine-tuned: the model '\(folder("bare"))' has no chat template"))
  }

  @Test("Ctrl-C in the middle exits with 130, and the next quickstart goes on from there")
  func interrupted() throws {
    let interruption = Interruption()
    let metrics = runFolder + "/metrics.jsonl"
    let output = HeldOutput()
    let listener = try DedicatedThread {
      // The next line says that it teaches, and is left unread: behind it the program waits with its first step's.
      output.read { $0.ranges(of: "first after").count == 2 }
      // Gives up after a minute, so that a failure is not a hang.
      for _ in 0..<12_000 {
        if let lines = try? MetricsFile.lines(metrics), lines.contains(where: { $0["loss"] != nil }) { break }
        usleep(5000)
      }
      interruption.request()
      output.read()
    }
    let stopped = try program.run(words, output: output.descriptor, interruption: interruption)
    output.end()
    listener.join()
    #expect(stopped.code == .interrupted, "\(stopped.errors)")
    #expect(output.text.contains("stopped; the next quickstart goes on with it"))
    let latest = try #require(try TrainingCheckpoint.latest(in: runFolder + "/checkpoints"))
    #expect(latest.step == 1)
    let result = try program.run(words)
    #expect(result.code == .success, "\(result.errors)")
    #expect(result.output.contains("resumed from step \(latest.step)"))
    #expect(result.output.contains("the adapter is at "))
  }
}
