import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelNN
import AngelText

/// The options of every command that runs a model.
enum SessionOptions {
  static let context = Option<Int?>.integer(
    "context", in: 1...1 << 24, help: "longest sequence in tokens (default: the model's, at most 8192)")
  static let all = [context.declaration]

  /// What the engine is set up with.
  static func engine(_ arguments: Arguments, _ context: CommandContext) -> EngineOptions {
    var options = EngineOptions()
    options.contextLength = arguments[Self.context]
    options.cacheDType = context.arithmetic.cacheDType
    return options
  }
}

extension Arithmetic {
  /// What keys and values are kept in: half precision is quickest, float32 promises float32 throughout.
  var cacheDType: DType {
    switch self {
    case .fast: .float16
    case .bf16: .bfloat16
    case .f32: .float32
    }
  }
}

extension CommandContext {
  /// The arithmetic `--precision` asks for.
  var arithmetic: Arithmetic {
    switch precision {
    case .fast: .fast
    case .bf16: .bf16
    case .f32: .f32
    }
  }

  /// Opens the files of a model: a name in the store, a folder or a file.
  func openCheckpoint(_ model: String) throws -> Checkpoint { try Checkpoint.open(store.resolve(model).path) }

  /// The device commands compute on.
  func makeBackend() throws -> CPUBackend {
    guard device == .cpu else { throw DeviceError.absent(device) }
    return try CPUBackend(threadCount: threads)
  }

  /// Loads a model with a progress display.
  func openSession(_ model: String, _ arguments: Arguments, on backend: CPUBackend? = nil) throws
    -> LanguageModelSession
  {
    let checkpoint = try openCheckpoint(model)
    let backend = try backend ?? makeBackend()
    let display = progress.start("loading \(model)", total: checkpoint.card.byteCount)
    let session = try LanguageModelSession(
      checkpoint, on: backend, pool: backend.pool, arithmetic: arithmetic,
      options: SessionOptions.engine(arguments, self), report: { read, _ in display.update(to: read) })
    display.finish()
    session.engine.isInterrupted = { [interruption] in interruption.isRequested }
    return session
  }
}

/// Why a device cannot be used.
enum DeviceError: DescribedError {
  case absent(Device)

  var description: String {
    switch self {
    case .absent(let device): "device '\(device)' is not supported by this version: use --device cpu"
    }
  }
}
