import AngelCore
import AngelModels
import AngelNN
import AngelTensor
import AngelText
import Synchronization

/// An adapter beside a serving engine's model.
struct PlacedAdapter: Sendable {
  let name: String
  /// Its place in the bank.
  let number: Int32
  /// Never used again for another, unlike name and number: what is cached of it is found by this. From 1 on.
  let key: UInt64
  /// Writes its turns; nil: the model's own.
  let chatTemplate: ChatTemplate?
}

/// The adapters that requests may name, for all threads: who finds one here has sent his request before it is taken out.
final class AdapterNames: Sendable {
  private let adapters = Mutex<[String: PlacedAdapter]>([:])

  func chatTemplate(_ name: String) -> ChatTemplate? { adapters.withLock { $0[name]?.chatTemplate } }

  func has(_ name: String) -> Bool { adapters.withLock { $0[name] != nil } }

  func insert(_ adapter: PlacedAdapter) { adapters.withLock { $0[adapter.name] = adapter } }

  /// Calls `send` with the adapter of that name, nil for no name.
  func find<Result>(
    _ name: String?, send: (PlacedAdapter?) throws -> Result
  ) throws -> Result {
    guard let name else { return try send(nil) }
    return try adapters.withLock { adapters in
      guard let adapter = adapters[name] else { throw EngineError.adapterMissing(name: name) }
      return try send(adapter)
    }
  }

  /// Takes one out, and calls `send` with it after all who had found it.
  func remove(_ name: String, send: (PlacedAdapter) -> Void) throws(EngineError) {
    try adapters.withLock { adapters throws(EngineError) in
      guard let adapter = adapters.removeValue(forKey: name) else { throw .adapterMissing(name: name) }
      send(adapter)
    }
  }
}

/// The places that adapters have beside a model; the thread that runs its steps owns it.
final class AdapterPlaces {
  private let bank: AdapterBank
  private let model: any LanguageModel
  private let backend: any Backend
  private var free: [Int]
  private var nextKey: UInt64 = 1

  init(_ bank: AdapterBank, beside model: any LanguageModel, on backend: any Backend) {
    self.bank = bank
    self.model = model
    self.backend = backend
    free = Array((0..<bank.limit).reversed())
  }

  /// Gives an adapter a place; also whether recorded steps are out of date.
  func add(_ folder: PEFTFolder, as name: String) throws -> (adapter: PlacedAdapter, outdates: Bool) {
    let template = try folder.chatTemplate.map { source throws(ChatTemplateError) in try ChatTemplate(source) }
    return try add(as: name, template) { try folder.matrices(beside: model, for: bank, on: backend) }
  }

  /// Gives random matrices beside every layer a place, for measurements.
  func addRandom(
    rank: Int, seed: UInt64, scale: Float = 1, dtype: DType = .float32
  ) throws -> (adapter: PlacedAdapter, outdates: Bool) {
    try add(as: "random-\(seed)") {
      bank.randomMatrices(rank: rank, scale: scale, seed: seed, dtype: dtype, on: backend)
    }
  }

  private func add(
    as name: String, _ template: ChatTemplate? = nil, _ make: () throws -> [String: LowRankMatrices]
  ) throws -> (adapter: PlacedAdapter, outdates: Bool) {
    guard let number = free.last else { throw EngineError.adaptersFull(limit: bank.limit) }
    let matrices: [String: LowRankMatrices]
    do {
      matrices = try make()
      // Memory that could not be had shows here, before anything refers to it.
      try backend.synchronize()
    } catch let error as BackendError { throw EngineError.adapterMemory(name: name, reason: error.description) }
    free.removeLast()
    defer { nextKey += 1 }
    let adapter = PlacedAdapter(name: name, number: Int32(number), key: nextKey, chatTemplate: template)
    return (adapter, bank.put(matrices, at: number))
  }

  /// Takes an adapter out that no row of a later step has.
  func remove(_ adapter: PlacedAdapter) {
    bank.remove(at: Int(adapter.number))
    free.append(Int(adapter.number))
  }
}
