import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelModels
import AngelNN
import AngelText

/// The options of every command that runs a model.
enum SessionOptions {
  /// What keys and values are kept in.
  enum CacheType: String, CaseIterable, Sendable {
    case f16, bf16, f32, q8_0, q4_0

    var dtype: DType {
      switch self {
      case .f16: .float16
      case .bf16: .bfloat16
      case .f32: .float32
      case .q8_0: .q8_0
      case .q4_0: .q4_0
      }
    }
  }

  static let context = Option<Int?>.integer(
    "context", in: 1...1 << 24, help: "longest sequence in tokens (default: the model's, at most 8192)")
  static let cache = Option<CacheType?>.custom(
    "cache", placeholder: "f16|bf16|f32|q8_0|q4_0", expects: "f16, bf16, f32, q8_0 or q4_0",
    choices: CacheType.allCases.map(\.rawValue),
    help: "type of cached keys and values; q8_0, q4_0 hold 1.9, 3.6 times as many (default: by --precision)"
  ) { CacheType(rawValue: $0) }
  static let memory = Option<Int?>.custom(
    "memory", placeholder: "SIZE", expects: "a size such as 2GiB, from 4MiB to 64TiB",
    help: "most memory to use (default: 80 % of what is free)"
  ) { text in
    (try? MemoryFormat.byteCount(of: text)).flatMap {
      (Page.byteCount...HostArena.largestBudget).contains($0) ? $0 : nil
    }
  }
  static let adapter = Option<String?>.text(
    "adapter", placeholder: "FOLDER", help: "an adapter to put beside the weights: a folder of `angel train` or PEFT")
  /// The options of commands that set the context length themselves.
  static let withoutContext = [cache.declaration, memory.declaration]
  /// The options of commands that run a model as it is.
  static let withoutAdapter = [context.declaration] + withoutContext
  static let all = [adapter.declaration] + withoutAdapter

  /// What the engine is set up with; `contextLength` where the command sets it.
  static func engine(
    _ arguments: Arguments, _ context: CommandContext, contextLength: Int? = nil
  ) throws -> EngineOptions {
    var options = EngineOptions()
    options.contextLength = contextLength ?? arguments[Self.context]
    options.cacheDType = cacheDType(arguments, context)
    return options
  }

  /// What keys and values are kept in.
  static func cacheDType(_ arguments: Arguments, _ context: CommandContext) -> DType {
    arguments[cache]?.dtype ?? context.arithmetic.cacheDType
  }

  /// What is to stand beside the weights.
  static func adapterFolder(_ arguments: Arguments) throws -> PEFTFolder? {
    try arguments[adapter].map { try PEFTFolder(path: $0) }
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

  /// The device commands compute on, with a memory budget of `--memory`.
  func makeBackend(_ arguments: Arguments) throws -> CPUBackend { try backendSettings(arguments).make() }

  /// How to make a backend, for those who make several, or elsewhere.
  func backendSettings(_ arguments: Arguments) -> BackendSettings {
    BackendSettings(
      device: device, threads: threads, instructionSet: environment.instructionSet,
      budget: arguments[SessionOptions.memory])
  }

  /// Loads a model with a progress display, once its memory plan has been found to fit.
  func openSession(
    _ model: String, _ arguments: Arguments, contextLength: Int? = nil, among peers: PeerWorld? = nil,
    on backend: CPUBackend? = nil
  ) throws -> LanguageModelSession {
    var options = try SessionOptions.engine(arguments, self, contextLength: contextLength)
    options.peers = peers?.peers
    let session = try openSession(
      openCheckpoint(model), named: model, adapter: SessionOptions.adapterFolder(arguments), options: options,
      on: backend ?? makeBackend(arguments))
    if let peers {
      session.engine.isInterrupted = { [interruption] in peers.anyone(interruption.isRequested) }
    }
    return session
  }

  /// Loads a model whose files are open already.
  func openSession(
    _ checkpoint: Checkpoint, named name: String, adapter: PEFTFolder? = nil, options: EngineOptions,
    beside other: LanguageModelSession? = nil, on backend: CPUBackend
  ) throws -> LanguageModelSession {
    let display = progress.start("loading \(name)", total: checkpoint.card.byteCount)
    let session = try LanguageModelSession(
      checkpoint, on: backend, pool: backend.pool, arithmetic: arithmetic, adapter: adapter, options: options,
      beside: other, report: { display.update(to: $0, total: $1) })
    display.finish()
    session.engine.isInterrupted = { [interruption] in interruption.isRequested }
    return session
  }
}

/// The device that the options of a command ask for.
struct BackendSettings: Sendable {
  let device: Device
  /// nil: as many as there are cores.
  let threads: Int?
  /// The only instruction set that will do, where one is asked for.
  let instructionSet: String?
  /// Bytes; nil: what the machine has room for.
  let budget: Int?

  /// A new backend over `pool`, or over one with the budget.
  func make(pool: PagePool? = nil) throws -> CPUBackend {
    guard device == .cpu else { throw DeviceError.absent(device) }
    let backend = try CPUBackend(pool: pool ?? PagePool(budget: budget), threadCount: threads)
    if let instructionSet, instructionSet != backend.instructionSet {
      throw DeviceError.instructionSet(instructionSet, used: backend.instructionSet)
    }
    return backend
  }
}

/// Why a device cannot be used.
enum DeviceError: DescribedError {
  case absent(Device)
  case instructionSet(String, used: String)

  var description: String {
    switch self {
    case .absent(let device): "device '\(device)' is not supported by this version: use --device cpu"
    case .instructionSet(let wanted, let used):
      "ANGEL_ISA is '\(wanted)', which is none of this processor's instruction sets: unset it to use \(used), "
        + "or try one of \(CPUBackend.instructionSetNames.joined(separator: ", "))"
    }
  }
}
