import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelModels
import AngelNN
import AngelTensor
import AngelTesting
import AngelText
import Testing

/// The tiny encoder of Tests/Goldens/models against transformers, in float32.
@Suite("Encoders equal transformers")
struct EncoderTests {
  static let folder = "models/bert-tiny"

  @Test("hidden states of texts laid end to end are those of each text alone")
  func hiddenStates() throws {
    let golden = try EncoderGolden(Self.folder)
    let (model, backend) = try Self.load()
    let segments = Segments(lengths: golden.texts.map(\.count), on: backend)
    let got: [Float] = try model(Tensor(golden.texts.flatMap { $0 }, on: backend), segments).read()
    #expect(normalizedError(got, try golden.floats("hiddenStates")[...]) < 1e-5)
  }

  @Test("vectors are the normalised means, in the order of the texts")
  func vectors() throws {
    let golden = try EncoderGolden(Self.folder)
    let (model, backend) = try Self.load()
    let engine = EncoderEngine(model, pooling: SentencePooling(), on: backend)
    let got = try engine.vectors(of: golden.texts)
    #expect(normalizedError(got.flatMap { $0 }, try golden.floats("vectors")[...]) < 1e-5)
    #expect(got.allSatisfy { abs($0.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5 })
    // More texts than a step holds.
    let many = (0..<40).map { golden.texts[$0 % golden.texts.count] }
    let others = try engine.vectors(of: many)
    for (index, vector) in others.enumerated() { #expect(vector == got[index % golden.texts.count], "text \(index)") }
    // The kernel contract: a text's bits do not depend on the texts beside it.
    for (text, vector) in zip(golden.texts, got) { #expect(try engine.vectors(of: [text]) == [vector]) }
  }

  @Test("the first token's state is the vector where the files say so, and is not normalised")
  func firstToken() throws {
    let golden = try EncoderGolden(Self.folder)
    let (model, backend) = try Self.load()
    var pooling = SentencePooling()
    (pooling.kind, pooling.normalizes) = (.first, false)
    let got = try EncoderEngine(model, pooling: pooling, on: backend).vectors(of: golden.texts)
    let states = try golden.floats("hiddenStates")
    var row = 0
    for (vector, text) in zip(got, golden.texts) {
      #expect(normalizedError(vector, states[(row * 32)..<(row * 32 + 32)]) < 1e-5)
      row += text.count
    }
  }

  @Test("texts that are empty, too long or out of the vocabulary are refused before anything runs")
  func refusals() throws {
    let (model, backend) = try Self.load()
    let engine = EncoderEngine(model, pooling: SentencePooling(), on: backend)
    #expect(throws: EngineError.emptyPrompt) { try engine.vectors(of: [[1], []]) }
    #expect(throws: EngineError.tokenOutOfRange(token: 64, vocabularySize: 64)) { try engine.vectors(of: [[64]]) }
    #expect(throws: EngineError.contextExceeded(tokens: 41, held: 0, limit: 40)) {
      try engine.vectors(of: [[Int32](repeating: 1, count: 41)])
    }
    #expect(try engine.vectors(of: []) == [])
  }

  @Test("every child of an encoder is visited, and its name table is two-way")
  func names() throws {
    let checkpoint = try Checkpoint.open(Goldens.path(Self.folder))
    let model = try ModelCatalog.textEncoder(for: checkpoint).outline(checkpoint)
    let names = model.names
    let tensors = Set(checkpoint.tensorNames.filter { !$0.hasPrefix("pooler.") })
    let paths = model.parameterShapes().map(\.path)
    #expect(Set(paths.compactMap { names.tensor(forParameter: $0, in: .huggingFace)?.name }) == tensors)
    for path in paths {
      for layout in [Checkpoint.Layout.huggingFace, .gguf] {
        let name = try #require(names.tensor(forParameter: path, in: layout)?.name)
        #expect(names.parameter(forTensor: name, in: layout) == path)
      }
    }
  }

  @Test("an encoder is no language model, nor the other way round")
  func kinds() throws {
    let encoder = try Checkpoint.open(Goldens.path(Self.folder))
    #expect(throws: ModelError.encodes("bert", path: encoder.path)) { try ModelCatalog.languageModel(for: encoder) }
    let decoder = try Checkpoint.open(Goldens.path("models/llama-tiny"))
    #expect(throws: ModelError.doesNotEncode("llama", path: decoder.path, known: ["bert"])) {
      try ModelCatalog.textEncoder(for: decoder)
    }
  }

  @Test("the GGUF file of the gguf package gives the folder's tokens, pooling and vectors")
  func gguf() throws {
    let golden = try EncoderGolden(Self.folder)
    let path = Goldens.path(Self.folder) + "/bert-tiny-F32.gguf"
    let (model, backend) = try Self.load(path)
    let checkpoint = try Checkpoint.open(path)
    let engine = EncoderEngine(model, pooling: try checkpoint.sentencePooling(), on: backend)
    let got = try engine.vectors(of: golden.texts)
    #expect(normalizedError(got.flatMap { $0 }, try golden.floats("vectors")[...]) < 1e-5)
    let tokenizer = try Tokenizer(checkpoint.tokenizer())
    let sentences = try #require(golden.json["sentences"]?.array).compactMap(\.string)
    let tokens = try #require(golden.json["sentenceTokens"]?.array).compactMap(\.tokens)
    for (sentence, expected) in zip(sentences, tokens) where expected.count < 40 {
      #expect(try tokenizer.encode(sentence) == expected, "\(sentence)")
    }
  }

  static func load(_ path: String = Goldens.path(folder)) throws -> (any TextEncoder, CPUBackend) {
    let backend = try CPUBackend(pool: PagePool(budget: 256 << 20), threadCount: 2)
    let checkpoint = try Checkpoint.open(path)
    let entry = try ModelCatalog.textEncoder(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    return (model, backend)
  }
}

@Suite("How a folder pools")
struct SentencePoolingTests {
  @Test("mean and first token, by either spelling; other ways are refused")
  func kinds() throws {
    #expect(try pooling(#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}"#).kind == .mean)
    #expect(try pooling(#"{"pooling_mode_cls_token": true}"#).kind == .first)
    #expect(try pooling(#"{"pooling_mode": "cls"}"#).kind == .first)
    #expect(throws: CheckpointError.self) { try pooling(#"{"pooling_mode_max_tokens": true}"#) }
    #expect(throws: CheckpointError.self) {
      try pooling(#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}"#)
    }
  }

  @Test("modules say whether vectors are normalised, and how many tokens count")
  func modules() throws {
    let plain = try pooling("{}", modules: #"[{"type": "models.Transformer"}, {"type": "models.Pooling"}]"#)
    #expect(!plain.normalizes)
    #expect(plain.longest == 17)
    #expect(throws: CheckpointError.self) { try pooling("{}", modules: #"{"not": "a list"}"#) }
    // A layer between pooling and vector would change them.
    #expect(throws: CheckpointError.self) {
      try pooling("{}", modules: #"[{"type": "models.Transformer"}, {"type": "models.Dense", "path": "2_Dense"}]"#)
    }
    #expect(try Checkpoint.open(Goldens.path(EncoderTests.folder)).sentencePooling() == SentencePooling())
  }

  private func pooling(
    _ json: String,
    modules: String = #"[{"type": "models.Pooling", "path": "1_Pooling"}, {"type": "models.Normalize"}]"#
  ) throws -> SentencePooling {
    let folder = try TemporaryFolder()
    for name in ["config.json", "model.safetensors"] {
      try folder.link(Goldens.path(EncoderTests.folder) + "/" + name, as: name)
    }
    try folder.write(modules.utf8, to: "modules.json")
    try folder.write(#"{"max_seq_length": 17}"#.utf8, to: "sentence_bert_config.json")
    try folder.write(json.utf8, to: "1_Pooling/config.json")
    return try Checkpoint.open(folder.path).sentencePooling()
  }
}

/// A folder's golden vectors.
struct EncoderGolden {
  let folder: String
  let json: JSONValue
  let texts: [[Int32]]

  init(_ folder: String) throws {
    self.folder = folder
    json = try Goldens.json(folder + "/embedding-golden.json")
    texts = try #require(json["texts"]?.array).compactMap(\.tokens)
  }

  func floats(_ key: String) throws -> [Float] {
    try Goldens.floats(folder + "/" + #require(json[key]?["file"]?.string))
  }
}

extension TextEncoder {
  var names: NameTable { Self.names(for: configuration) }
}
