import AngelCore
import AngelTesting
import Synchronization

@testable import AngelCheckpoint

/// A model on a hub of our own, and a store to pull it into.
struct HubFixture {
  let folder: TemporaryFolder
  let store: ModelStore
  let server: HubServer
  /// Seconds that pulls wanted to wait; no test really waits.
  let waits = Waits()

  static let weights = (0..<400_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 9) }
  static let configuration = Array("{\"model_type\":\"llama\"}".utf8)
  static let pieceSize = 50_000

  final class Waits: Sendable {
    private let state = Mutex<[Double]>([])
    var seconds: [Double] { state.withLock { $0 } }
    func add(_ seconds: Double) { state.withLock { $0.append(seconds) } }
  }

  /// The files that a safetensors model has, and some that must never be fetched.
  static var files: [HubServer.File] {
    [
      small("config.json", configuration), small("tokenizer.json", Array("{}".utf8)), small("README.md", [35]),
      large("model.safetensors", weights), large("pytorch_model.bin", weights), small("onnx/model.onnx", [1]),
      large("consolidated.safetensors", weights), small("../config.json", [1]),
    ]
  }

  init(_ files: [HubServer.File] = Self.files, _ change: (inout HubServer.Model) -> Void = { _ in }) throws {
    folder = try TemporaryFolder()
    store = ModelStore(root: folder("home"))
    var model = HubServer.Model(files)
    change(&model)
    server = try HubServer(model)
  }

  static func large(_ path: String, _ bytes: [UInt8]) -> HubServer.File {
    HubServer.File(path, bytes, digest: SHA256.hexadecimal(of: bytes))
  }

  static func small(_ path: String, _ bytes: [UInt8]) -> HubServer.File {
    var hash = SHA1()
    (Array("blob \(bytes.count)\0".utf8) + bytes).withUnsafeBytes { hash.update($0) }
    return HubServer.File(path, bytes, digest: hash.hexadecimal())
  }

  static func gguf(_ path: String, _ count: Int = 1000) -> HubServer.File {
    large(path, storeSampleGGUF(count) + Array(path.utf8))
  }

  @discardableResult
  func pull(
    _ source: String = "hf:maker/model", variables: [String: String] = [:], connections: Int = 4, attempts: Int = 5,
    stallSeconds: Int = 60,
    interruption: Interruption = Interruption(), log: Log = .silent,
    _ change: (inout ModelPull.Request) -> Void = { _ in }
  ) throws -> ModelPull.Result {
    let environment = Environment(
      ["HF_ENDPOINT": server.address, "HOME": folder("user")].merging(variables) { $1 })
    var pull = ModelPull(store: store, environment: environment, interruption: interruption, log: log)
    let waits = waits
    pull.patience = Patience(attempts: attempts, pauseSeconds: 1, connectSeconds: 10, stallSeconds: stallSeconds) {
      seconds, check in
      waits.add(seconds)
      try check()
    }
    pull.pieceSize = Self.pieceSize
    var request = ModelPull.Request(source: source)
    request.connections = connections
    change(&request)
    return try pull.run(request)
  }

  /// What is left in the store besides empty folders.
  var leftovers: [String] { folder.files(below: "home").filter { !$0.hasSuffix("/") } }

  func bytes(_ name: String, of model: String = "model") throws -> [UInt8] {
    try TemporaryFolder.read(folder("home/models/\(model)/\(name)"))
  }
}
