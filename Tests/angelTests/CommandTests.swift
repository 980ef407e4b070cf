import AngelCore
import AngelTesting
import Glibc
import Testing

@testable import angel

/// Every command that runs a model, end to end, against the reference's tokens, texts and logits.
@Suite("Commands on tiny models")
struct CommandTests {
  static let models = ["llama-tiny", "qwen3-tiny"]
  let folder: TemporaryFolder
  let program: ProgramRunner

  init() throws {
    folder = try TemporaryFolder()
    program = ProgramRunner(folder)
  }

  private func path(_ model: String) -> String { Goldens.path("models/\(model)") }

  private func golden(_ model: String, _ kind: String) throws -> JSONValue {
    try #require(Goldens.json("models/\(model)/end-to-end.json")[kind])
  }

  /// The object a command prints with `--json`, in float32 on one thread.
  private func json(_ words: String..., input: String = "") throws -> JSONValue {
    let outcome = try program.run(words + ["--json", "--precision", "f32", "--threads", "1"], input: input)
    #expect(outcome.code == .success, "\(outcome.errors)")
    return try outcome.json
  }

  private func list(_ value: JSONValue?) -> String {
    (value?.array ?? []).map { $0.encoded() }.joined(separator: ",")
  }

  // MARK: Tokens and logits

  @Test("tokenize gives the reference's tokens, and the text back", arguments: models)
  func tokenize(model: String) throws {
    let plain = try golden(model, "plain")
    let text = try #require(plain["text"]?.string)
    #expect(try json("tokenize", path(model), input: text) == ["tokens": plain["tokens"] ?? .null])
    for ids in [list(plain["tokens"]), "{\"tokens\":[\(list(plain["tokens"]))]}", "[\(list(plain["tokens"]))]"] {
      #expect(try json("tokenize", path(model), "--decode", input: ids) == ["text": .string(text)])
    }
    #expect(try program.run(["tokenize", path(model), "--decode"], input: "75, 104\n111 111").output == "Hell")
    // Spelt-out special tokens are special unless they are to be plain.
    #expect(try json("tokenize", path(model), input: "<|im_end|>") == ["tokens": [2]])
    #expect(try json("tokenize", path(model), "--plain", input: "<|im_end|>")["tokens"]?.array?.count != 1)
  }

  @Test("logits are the reference's at every position, and --all ends with the last alone", arguments: models)
  func logits(model: String) throws {
    let short = try #require(Goldens.json("models/\(model)/golden.json")["short"])
    let prompt = list(short["prompt"])
    let stride = short["logits"]?["vocabularyStride"]?.integer ?? 1
    let all = try json("logits", path(model), "--tokens", prompt, "--all")
    let first = try #require(short["logits"]?["firstPosition"]?.integer)
    let rows = try #require(all["logits"]?.array)
    var got: [Float] = []
    for row in rows.dropFirst(first) {
      let values = try #require(row.array)
      #expect(values.count == all["vocabulary"]?.integer)
      got += Swift.stride(from: 0, to: values.count, by: stride).map { Float(values[$0].double ?? .nan) }
    }
    #expect(normalizedError(got, try Goldens.floats("models/\(model)/logits.bin")) < 1e-4)
    #expect(try json("logits", path(model), "--tokens", prompt)["logits"] == rows.last)
  }

  @Test("perplexity is exp of the mean negative log-likelihood of whole windows, each without its first token")
  func perplexity() throws {
    let model = path("llama-tiny")
    let text = String(repeating: "Is the tiny model 42 there? ", count: 6)
    let file = try folder.write(text.utf8, to: "text")
    let tokens = try #require(try json("tokenize", model, input: text)["tokens"]?.array?.compactMap(\.integer))
    /// Negative log-likelihoods by position in the window.
    var losses: [(position: Int, loss: Double)] = []
    for start in stride(from: 0, through: tokens.count - 16, by: 16) {
      let window = Array(tokens[start..<(start + 16)])
      let rows = try #require(
        json("logits", model, "--all", "--tokens", window.map(String.init).joined(separator: ","))["logits"]?.array)
      for position in 1..<16 {
        let row = try #require(rows[position - 1].array).map { $0.double ?? .nan }
        losses.append((position, log(row.reduce(0) { $0 + exp($1) }) - row[window[position]]))
      }
    }
    for unscored in [1, 9] {
      let scored = losses.filter { $0.position >= unscored }.map(\.loss)
      let result = try json("perplexity", model, file, "--context", "16", "--unscored", "\(unscored)")
      #expect(result["tokens"]?.integer == scored.count)
      #expect(abs((result["perplexity"]?.double ?? 0) / exp(scored.reduce(0, +) / Double(scored.count)) - 1) < 1e-5)
      #expect((result["seconds"]?.double ?? 0) > 0)
    }
    #expect(losses.count < tokens.count - tokens.count / 16)
    #expect(try json("perplexity", model, file, "--context", "16", "--windows", "2")["tokens"] == 30)
    // A text shorter than a window is scored whole.
    let all = try json("perplexity", model, file, "--context", "200")
    #expect(all["tokens"]?.integer == tokens.count - 1 && all["windows"] == 1)
  }

  // MARK: Generation

  @Test("generate continues text, tokens and conversations as the reference does", arguments: models)
  func generate(model: String) throws {
    let limits = ["--max-tokens", "16", "--ignore-end", "--precision", "f32"]
    let plain = try golden(model, "plain")
    let text = try #require(plain["text"]?.string)
    let result = try json("generate", path(model), text, "--max-tokens", "16", "--ignore-end")
    #expect(result["tokens"] == plain["greedy"] && result["text"] == plain["greedyText"])
    #expect(result["finish_reason"] == "length" && result["prompt_tokens"]?.integer == plain["tokens"]?.array?.count)
    #expect((result["time_to_first_token"]?.double ?? 0) > 0 && (result["tokens_per_second"]?.double ?? 0) > 0)
    let answer = try #require(plain["greedyText"]?.string) + "\n"
    #expect(try program.run(["generate", path(model), text] + limits).output == answer)
    #expect(try program.run(["generate", path(model)] + limits, input: text + "\n").output == answer)
    #expect(try program.run(["generate", path(model), "--tokens", list(plain["tokens"])] + limits).output == answer)

    let chat = try golden(model, "chat")
    let messages = try #require(chat["messages"]?.array?.compactMap { $0["content"]?.string })
    let turn = try json(
      "generate", path(model), messages[1], "--chat", "--system", messages[0], "--max-tokens", "16", "--ignore-end")
    #expect(turn["tokens"] == chat["greedy"] && turn["text"] == chat["greedyText"])
    #expect(turn["prompt_tokens"]?.integer == chat["tokens"]?.array?.count)
  }

  @Test("a seed repeats an answer, a stop text ends it, a bias forces it, log-probabilities come with alternatives")
  func sampling() throws {
    let model = path("llama-tiny")
    let drawn = ["--temperature", "1.5", "--seed", "7", "--max-tokens", "24", "--ignore-end"]
    let one = try program.run(["generate", model, "Hello"] + drawn).output
    #expect(try program.run(["generate", model, "Hello", "--threads", "2"] + drawn).output == one)
    #expect(try program.run(["generate", model, "Hello"] + drawn + ["--seed", "8"]).output != one)

    let plain = try golden("llama-tiny", "plain")
    let text = try #require(plain["text"]?.string)
    let stopped = try json("generate", model, text, "--stop", "lgs", "--max-tokens", "16", "--ignore-end")
    #expect(stopped["text"] == "E)Pg" && stopped["finish_reason"] == "stop")

    let forced = try json("generate", model, text, "--logit-bias", "75:100", "--max-tokens", "3", "--logprobs", "2")
    #expect(forced["tokens"] == [75, 75, 75] && forced["text"] == "HHH")
    let entries = try #require(forced["logprobs"]?.array)
    #expect(entries.count == 3)
    for entry in entries {
      let top = try #require(entry["top"]?.array)
      #expect(entry["token"] == 75 && entry["text"] == "H" && entry["bytes"] == [72] && top.count == 2)
      // Under the model's own distribution, which the bias does not touch.
      #expect((entry["logprob"]?.double ?? 1) <= top[0]["logprob"]?.double ?? 0)
    }
  }

  @Test("an interrupted generate prints what there is and exits with 130")
  func interrupted() throws {
    let interruption = Interruption()
    interruption.request()
    let outcome = try program.run(
      ["generate", path("llama-tiny"), "Hello", "--json"], interruption: interruption)
    #expect(outcome.code == .interrupted)
    #expect(try outcome.json["finish_reason"] == "interrupted")
    #expect(try outcome.json["tokens"] == [])
    let text = try folder.write("Is it there? Is it there?".utf8, to: "text")
    for words in [["perplexity", path("llama-tiny"), text], ["logits", path("llama-tiny"), "--tokens", "1"]] {
      let outcome = try program.run(words, interruption: interruption)
      #expect(outcome.code == .interrupted && outcome.output.isEmpty, "\(outcome.errors)")
    }
  }

  // MARK: Conversations

  @Test("a second turn runs only its own tokens: the first turn's keys and values are kept", arguments: models)
  func conversation(model: String) throws {
    let outcome = try program.run(
      ["chat", path(model), "--json", "--max-tokens", "5", "--ignore-end", "--precision", "f32"],
      input: "Hello\n\nIs it there?\n/reset\nHello\n/quit\nnever\n")
    #expect(outcome.code == .success)
    let turns = try outcome.output.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
    #expect(turns.count == 3)
    let count = { (turn: Int, key: String) in turns[turn][key]?.integer ?? -1 }
    #expect(turns[0]["role"] == "assistant" && turns[0]["tokens"]?.array?.count == 5 && count(0, "cached_tokens") == 0)
    // All but the last sampled token, which nothing has followed yet.
    #expect(count(1, "cached_tokens") == count(0, "prompt_tokens") + 4)
    let new = try #require(
      json(
        "tokenize", path(model), input: "<|im_end|>\n<|im_start|>user\nIs it there?<|im_end|>\n<|im_start|>assistant\n")[
          "tokens"]?.array)
    #expect(count(1, "prompt_tokens") == count(0, "prompt_tokens") + 5 + new.count)
    // What is kept changes nothing: the whole conversation in one go gives the same tokens.
    let start = try #require(
      json("tokenize", path(model), input: "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")["tokens"]?
        .array)
    let whole = JSONValue.array(start + (turns[0]["tokens"]?.array ?? []) + new)
    let fresh = try json("generate", path(model), "--tokens", list(whole), "--max-tokens", "5", "--ignore-end")
    #expect(fresh["tokens"] == turns[1]["tokens"] && fresh["prompt_tokens"] == turns[1]["prompt_tokens"])
    // The same question again has all of its prompt cached but the token that is to be continued.
    #expect(turns[2]["text"] == turns[0]["text"] && count(2, "cached_tokens") == count(2, "prompt_tokens") - 1)
  }

  @Test("/system changes the prompt, /save writes the messages as JSON lines")
  func saving() throws {
    let place = folder("talk.jsonl")
    let outcome = try program.run(
      ["chat", path("llama-tiny"), "--max-tokens", "4"], input: "/system Be brief.\nHello\n/save \(place)\n")
    #expect(outcome.code == .success && outcome.errors.isEmpty)
    let lines = String(decoding: try TemporaryFolder.read(place), as: UTF8.self).split(separator: "\n")
    let messages = try lines.map { try JSONValue(parsing: String($0)) }
    #expect(messages.map { $0["role"] } == ["system", "user", "assistant"])
    #expect(messages[0]["content"] == "Be brief." && messages[1]["content"] == "Hello")
    #expect(outcome.output == (messages[2]["content"]?.string ?? "") + "\n")
  }

  // MARK: Writing models

  @Test("convert writes a file and a folder that answer alike, and says what it wrote", arguments: models)
  func convert(model: String) throws {
    let (file, back) = (folder("\(model).gguf"), folder("back"))
    let written = try json("models", "convert", path(model), file, "--type", "q8_0")
    #expect(written["format"] == "gguf" && written["path"] == .string(file))
    #expect((written["types"]?["q8_0"]?.integer ?? 0) > 0 && (written["tensors"]?.integer ?? 0) > 20)
    #expect(try json("models", "convert", file, back)["format"] == "safetensors")
    let prompt = list(try #require(Goldens.json("models/\(model)/golden.json")["short"]?["prompt"]))
    #expect(try json("logits", back, "--tokens", prompt) == json("logits", file, "--tokens", prompt))
    let again = try program.run(["models", "convert", path(model), file])
    #expect(again.code == .failure && again.errors.contains("--force replaces it"))
    let text = try program.run(["models", "convert", path(model), file, "--force", "--type", "f16"])
    #expect(text.code == .success && text.output.contains("f16"))
    for (words, message) in [
      (["models", "convert", path(model)], "TARGET is missing"), (["models", "show", path(model), "x"], "unexpected"),
      (["models", "convert", path(model), "x", "--type", "q6_k"], "--type must be"),
    ] {
      let outcome = try program.run(words)
      #expect(outcome.code == .usage && outcome.errors.contains(message), "\(outcome.errors)")
    }
  }

  @Test("export copies a model of the store as it was pulled")
  func export() throws {
    let source = path("llama-tiny/llama-tiny-Q8_0.gguf")
    #expect(try program.run(["pull", source, "--name", "one"]).code == .success)
    #expect(try program.run(["pull", path("llama-tiny"), "--name", "many"]).code == .success)
    let exported = try json("models", "export", "one", folder("copy.gguf"))
    #expect(exported["path"] == .string(folder("copy.gguf")))
    #expect(try TemporaryFolder.read(folder("copy.gguf")) == TemporaryFolder.read(source))
    #expect(try json("models", "export", "many", folder("copy"))["path"] == .string(folder("copy")))
    for name in ["model.safetensors", "tokenizer.json", "config.json"] {
      #expect(try TemporaryFolder.read(folder("copy/\(name)")) == TemporaryFolder.read(path("llama-tiny/\(name)")))
    }
    #expect(try program.run(["models", "export", "many", folder("copy")]).errors.contains("--force replaces it"))
    #expect(try program.run(["models", "export", "none", folder("x")]).code == .failure)
  }

  // MARK: Cards and measurements

  @Test("a card says what the file holds and what it takes to run", arguments: ["llama-tiny-Q4_0.gguf", ""])
  func card(file: String) throws {
    let card = try json("models", "show", path("llama-tiny") + (file.isEmpty ? "" : "/" + file))
    #expect(card["architecture"] == "llama" && card["runs"] == true && card["obstacle"] == .null)
    #expect(card["layers"] == 2 && card["heads"] == 4 && card["key_value_heads"] == 2 && card["width"] == 64)
    #expect(card["vocabulary"] == 264 && card["context"] == 256 && card["chat_template"] == true)
    #expect(card["tokenizer"] == "byte-level BPE, 264 tokens")
    #expect(card["types"]?.array?.isEmpty == false && card["unsupported_tensors"]?.object?.members.isEmpty == true)
    #expect((card["bytes"]?.integer ?? 0) > 0 && (card["parameters"]?.integer ?? 0) > 0)
    let plan = try #require(card["plan"])
    #expect(plan["fits"] == true && (plan["total_bytes"]?.integer ?? 0) > (card["bytes"]?.integer ?? 0))
    let kinds = plan["entries"]?.array?.compactMap { $0["kind"]?.string }
    #expect(kinds?.contains("weights") == true && kinds?.contains("kv_cache") == true)
    let text = try program.run(["models", "show", path("llama-tiny")]).output
    #expect(text.contains("architecture   llama\n") && text.contains("memory for one stream:\n"))
  }

  @Test("a model of an architecture that cannot be run has a card that says so")
  func foreign() throws {
    let file = try damagedModel {
      $0.replace("general.architecture\u{8}\0\0\0\u{5}\0\0\0\0\0\0\0llama", "llama", "gemma")
    }
    let outcome = try program.run(["models", "show", file])
    #expect(outcome.code == .success && outcome.output.contains("architecture   gemma\n"))
    #expect(
      outcome.output.contains("cannot be run yet: ") && outcome.output.contains("supported: ")
        && outcome.output.contains(", llama, "))
    #expect(try json("models", "show", file)["runs"] == false)
  }

  @Test("bench has a row for each test, with rates, load time and peak memory")
  func bench() throws {
    let result = try json(
      "bench", "inference", path("qwen3-tiny"), "--prompt", "8", "--generate", "4", "--depth", "3", "--repetitions", "2"
    )
    let rows = try #require(result["rows"]?.array)
    #expect(rows.map { $0["test"] } == ["prefill", "decode"])
    for row in rows {
      #expect(row["batch"] == 1 && row["threads"] == 1)
      #expect((row["tokens_per_second"]?.double ?? 0) > 0 && (row["tokens_per_cpu_second"]?.double ?? 0) > 0)
    }
    #expect((result["load_seconds"]?.double ?? 0) > 0 && (result["peak_rss_bytes"]?.integer ?? 0) > 1 << 20)
    let table = try program.run(
      ["bench", "inference", path("qwen3-tiny"), "--prompt", "4", "--generate", "2", "--repetitions", "1"])
    #expect(table.output.hasPrefix("TEST     TOKENS  THREADS  TOKENS/S"))
  }

  @Test("quickstart shows the card, the plan, two answers and what to type next")
  func quickstart() throws {
    let words = ["quickstart", "--model", path("llama-tiny"), "--max-tokens", "4"]
    let result = try program.run(words + ["--json"]).json
    #expect(result["card"]?["architecture"] == "llama" && result["plan"]?["fits"] == true)
    let answers = try #require(result["answers"]?.array)
    #expect(answers.count == 2 && answers.allSatisfy { $0["prompt"]?.string != nil && $0["finish_reason"] != nil })
    #expect(result["next"]?.array?.isEmpty == false)
    let text = try program.run(words)
    #expect(text.code == .success)
    for part in [
      "architecture   llama", "memory for one stream:", "> What is gravity?", "tokens/s, first after", "next, try:",
    ] {
      #expect(text.output.contains(part))
    }
  }

  /// A copy of the tiny GGUF with bytes changed.
  private func damagedModel(_ change: (inout [UInt8]) -> Void) throws -> String {
    var bytes = try Goldens.bytes("models/llama-tiny/llama-tiny-Q4_0.gguf")
    change(&bytes)
    return try folder.write(bytes, to: "damaged.gguf")
  }
}

extension [UInt8] {
  /// Replaces `old` by `new`, of the same length, inside the first occurrence of `context`.
  mutating func replace(_ context: String, _ old: String, _ new: String) {
    let pattern = Array(context.utf8)
    guard old.utf8.count == new.utf8.count,
      let place = indices.first(where: { self[$0...].starts(with: pattern) }),
      let inner = self[place..<(place + pattern.count)].indices.last(where: { self[$0...].starts(with: old.utf8) })
    else { return }
    replaceSubrange(inner..<(inner + old.utf8.count), with: Array(new.utf8))
  }
}
