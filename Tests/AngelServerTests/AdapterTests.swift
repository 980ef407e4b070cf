import AngelCheckpoint
import AngelCore
import AngelCPU
import AngelHCF
import AngelMemory
import AngelTesting
import Testing

@testable import AngelServer

/// Adapters as models of their own, loaded and unloaded while the server runs.
@Suite("Adapters over HTTP")
struct AdapterTests {
  private let adapter = Goldens.path("adapters/llama-tiny")

  /// A server over llama-tiny with room for two adapters, of which it begins with one.
  private func serve(_ given: [ServedAdapter], allowsLoading: Bool = true) throws -> RunningServer {
    let facts = ModelFacts(
      format: "safetensors", family: "llama", parameterCount: 1, quantization: "F32", byteCount: 1,
      chatTemplate: "the model's", isEncoder: false)
    let model = ServedModel(name: "tiny", created: 7, facts: facts) {
      OpenedModel(byteCount: 0) {
        let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
        var options = ServingOptions()
        options.adapterLimit = 2
        return .language(
          try BatchEngine(
            Checkpoint.open(Goldens.path("models/llama-tiny")), on: backend, pool: backend.pool, options: options))
      }
    }
    return try RunningServer(model, adapters: given) { $0.allowsAdapterLoading = allowsLoading }
  }

  private func text(_ running: RunningServer, _ model: String) throws -> String? {
    let answer = try running.post(
      "/v1/completions", #"{"model":"\#(model)","prompt":[5,17,42,99],"max_tokens":12,"temperature":0}"#)
    #expect(try answer.json["model"]?.string == model)
    return try answer.json["choices"]?.array?.first?["text"]?.string
  }

  @Test("an adapter has a name of its own, and /v1/models says what it stands beside")
  func names() throws {
    let given = ServedAdapter(name: "keeper", base: "tiny", path: adapter, created: 8)
    let running = try serve([given])
    let plain = try text(running, "tiny")
    #expect(try text(running, "keeper") != plain)
    let data = try #require(try running.get("/v1/models").json["data"]?.array)
    #expect(data.map { $0["id"]?.string } == ["tiny", "keeper"] && data[0]["parent"] == .null)
    #expect(
      data[1]["parent"] == "tiny" && data[1]["root"] == .string(adapter) && data[1]["created"] == 8
        && data[1]["max_model_len"] == data[0]["max_model_len"])
    #expect(try running.get("/v1/models/keeper").json["parent"] == "tiny")
    let missing = try running.post("/v1/completions", #"{"model":"other","prompt":"x"}"#)
    #expect(missing.error == (404, "model", "model_not_found") && missing.text.contains("has tiny, keeper"))
  }

  @Test("what Ollama's clients are shown of an adapter is the template it brings")
  func template() throws {
    let folder = try TemporaryFolder()
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
      try folder.write(try TemporaryFolder.read(adapter + "/" + name), to: name)
    }
    try folder.write("{# <think> </think> #}{{ messages }}".utf8, to: "chat_template.jinja")
    let running = try serve([ServedAdapter(name: "keeper", base: "tiny", path: folder.path, created: 8)])
    let shown = try running.post("/api/show", #"{"model":"keeper"}"#).json
    #expect(shown["template"] == "{# <think> </think> #}{{ messages }}")
    #expect(shown["capabilities"] == ["completion", "thinking"])
    #expect(try running.post("/api/show", #"{"model":"tiny"}"#).json["template"] == "the model's")
  }

  @Test("adapters come and go at run time, under vLLM's paths")
  func loading() throws {
    let running = try serve([])
    let plain = try text(running, "tiny")
    let body = #"{"lora_name":"late","lora_path":"\#(adapter)"}"#
    let loaded = try running.post("/v1/load_lora_adapter", body)
    #expect(loaded.status == 200 && loaded.text == "Success: LoRA adapter 'late' added successfully.")
    #expect(try text(running, "late") != plain)
    #expect(try text(running, "tiny") == plain)
    #expect(try running.post("/v1/load_lora_adapter", body).error == (400, "lora_name", "invalid_value"))
    let lost = try running.post("/v1/load_lora_adapter", #"{"lora_name":"lost","lora_path":"/nowhere"}"#)
    #expect(lost.error == (400, "lora_path", "invalid_value") && lost.text.contains("it is no folder"))
    let foreign = try running.post(
      "/v1/load_lora_adapter", #"{"lora_name":"foreign","lora_path":"\#(Goldens.path("adapters/qwen3-tiny"))"}"#)
    #expect(foreign.error == (400, "lora_path", "invalid_value"))
    let unloaded = try running.post("/v1/unload_lora_adapter", #"{"lora_name":"late"}"#)
    #expect(unloaded.status == 200 && unloaded.text == "Success: LoRA adapter 'late' removed successfully.")
    let gone = try running.post("/v1/completions", #"{"model":"late","prompt":"x"}"#)
    #expect(gone.error == (404, "model", "model_not_found"))
    #expect(try running.post("/v1/unload_lora_adapter", #"{"lora_name":"late"}"#).status == 404)
    #expect(try running.post("/v1/load_lora_adapter", body).status == 200)
  }

  @Test("who may load adapters may have any folder read: only where the server says so")
  func disabled() throws {
    let running = try serve([], allowsLoading: false)
    let load = try running.post("/v1/load_lora_adapter", #"{"lora_name":"a","lora_path":"b"}"#)
    let unload = try running.post("/v1/unload_lora_adapter", #"{"lora_name":"a"}"#)
    #expect(load.error == (403, nil, "adapter_loading_disabled") && unload.error == load.error)
  }
}
