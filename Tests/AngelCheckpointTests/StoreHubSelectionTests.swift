import Testing

@testable import AngelCheckpoint

@Suite("Which of a model's files are needed")
struct StoreHubSelectionTests {
  private func select(_ paths: [String], _ source: String = "hf:a/b") throws -> [String] {
    let files = paths.map { HubFile(path: $0, size: 1, digest: nil) }
    let selection = try HubSelection(files, for: HubReference(source))
    return (selection.settings + selection.weights).map(\.path)
  }

  @Test("configuration, tokenizer, template and safetensors; never other forms of the same")
  func safetensors() throws {
    let wanted = [
      "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
      "vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", "1_Pooling/config.json",
      "model.safetensors",
    ]
    let others = [
      "README.md", ".gitattributes", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "onnx/model.onnx",
      "consolidated.safetensors", "consolidated.00.pth", "model.ckpt", "training_args.bin",
      "original/model.safetensors",
      "onnx/config.json", "openvino_model.bin", "optimizer.pt", "rust_model.ot",
    ]
    #expect(try select(others + wanted) == wanted)
  }

  @Test("with both forms there, safetensors unless a GGUF file is named")
  func both() throws {
    let paths = ["config.json", "model.safetensors", "m-Q4_0.gguf"]
    #expect(try select(paths) == ["config.json", "model.safetensors"])
    #expect(try select(paths, "hf:a/b:q4_0") == ["m-Q4_0.gguf"])
    #expect(try select(paths, "hf:a/b:safetensors") == ["config.json", "model.safetensors"])
  }

  @Test(
    "a quantization is a word of the path",
    arguments: [
      ("Q4_K_M", ["m.Q4_K_M.gguf"]), ("q4_k_m", ["m.Q4_K_M.gguf"]), ("Q4_K", nil), ("Q4_K_S", ["m.Q4_K_S.gguf"]),
      ("UD-Q2_K_XL", ["m-UD-Q2_K_XL.gguf"]), ("Q2_K_XL", ["m-UD-Q2_K_XL.gguf"]), ("m.Q4_K_S", ["m.Q4_K_S.gguf"]),
      ("BF16", ["BF16/m-00001-of-00002.gguf", "BF16/m-00002-of-00002.gguf"]), ("*Q4*", nil),
      ("*k_s.gguf", ["m.Q4_K_S.gguf"]),
      ("F16", nil), ("Q8_0", nil), ("[", nil),
    ])
  func quantization(pattern: String, expected: [String]?) throws {
    let paths = [
      "m.Q4_K_M.gguf", "m.Q4_K_S.gguf", "m-UD-Q2_K_XL.gguf", "BF16/m-00001-of-00002.gguf", "BF16/m-00002-of-00002.gguf",
      "Q8_0/m-00001-of-00002.gguf", "mmproj-F16.gguf", "config.json",
    ]
    guard let expected else {
      #expect(throws: HubError.self) { try select(paths, "hf:a/b:" + pattern) }
      return
    }
    #expect(try select(paths, "hf:a/b:" + pattern) == expected)
  }

  @Test("without a name: 4 bits, else 8, else the first")
  func usual() throws {
    #expect(try select(["m-Q2_K.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf"]) == ["m-Q4_K_M.gguf"])
    #expect(try select(["m-Q2_K.gguf", "m-Q8_0.gguf"]) == ["m-Q8_0.gguf"])
    #expect(try select(["m-Q6_K.gguf", "m-F32.gguf"]) == ["m-F32.gguf"])
  }
}
