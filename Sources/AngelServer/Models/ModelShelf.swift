public import AngelCore
import AngelHCF
import Glibc
import Synchronization

/// The models of a server: loaded when first asked for, within a budget of memory; the one that nobody has asked for longest
/// makes room, once the requests it is busy with have ended.
///
/// One thread loads and unloads, so that two models never race for the same memory.
public final class ModelShelf: Sendable {
  /// In the order they were given; the first is the default.
  public let models: [ServedModel]
  let adapters: AdapterShelf
  private let budget: Int
  private let log: Log
  private let loader: JobQueue
  private let state: Mutex<[String: Slot]>

  /// What is known of one model.
  private struct Slot {
    var loaded: LoadedModel?
    /// Requests that hold it.
    var useCount = 0
    var byteCount = 0
    var lastUse: UInt64 = 0
    /// Whether it is about to be unloaded: it is given to nobody then.
    var isLeaving = false
    /// Whether the loader has been told to load it.
    var isWanted = false
    var waiters: [Waiter] = []
  }
  private let clock = Atomic<UInt64>(1)

  /// Who asked for a model, or for an adapter beside it.
  private struct Waiter {
    let adapter: String?
    let body: @Sendable (Result<ModelUse, any Error>) -> Void
  }

  /// A shelf of at least one model.
  ///
  /// - Parameters:
  ///   - adapters: beside these models, under names of their own.
  ///   - budget: bytes that loaded models may take together.
  public init(_ models: [ServedModel], adapters: [ServedAdapter] = [], budget: Int, log: Log) throws {
    precondition(!models.isEmpty, "a server without models")
    self.models = models
    self.adapters = AdapterShelf(adapters)
    self.budget = budget
    self.log = log
    state = Mutex(Dictionary(uniqueKeysWithValues: models.map { ($0.name, Slot()) }))
    loader = try JobQueue(threadCount: 1)
  }

  /// The model of that name.
  public func model(_ name: String) -> ServedModel? { models.first { $0.name == name } }

  /// Whether it is in memory now.
  public func isLoaded(_ name: String) -> Bool { loaded(name) != nil }

  func loaded(_ name: String) -> LoadedModel? { state.withLock { $0[name]?.loaded } }

  /// What writes the turns for an adapter: its own template or its model's; nil where its model is not loaded, which alone
  /// knows.
  func template(ofAdapter name: String, beside base: String) -> String? {
    guard case .language(let engine as any AdapterEngine)? = loaded(base) else { return nil }
    return engine.chatTemplate(for: name)?.source
  }

  /// The names that requests may give: models, then adapters.
  public var names: [String] { models.map(\.name) + adapters.all.map(\.name) }

  /// Hands the model, or a model with an adapter, to `body`: at once and on this thread where it is loaded, else on the
  /// loader's thread once it is, or with the reason why it cannot be.
  public func use(_ name: String, _ body: @escaping @Sendable (Result<ModelUse, any Error>) -> Void) {
    enum Step { case now(ModelUse), load, wait, missing }
    let adapter = adapters[name]
    let base = adapter?.base ?? name
    let waiter = Waiter(adapter: adapter?.name, body: body)
    let step = state.withLock { slots -> Step in
      // An adapter that has just been unloaded.
      guard var slot = slots[base] else { return .missing }
      defer { slots[base] = slot }
      if let loaded = slot.loaded, !slot.isLeaving { return .now(begin(base, waiter, loaded, &slot)) }
      slot.waiters.append(waiter)
      defer { slot.isWanted = true }
      return slot.isWanted ? .wait : .load
    }
    switch step {
    case .now(let use): body(.success(use))
    case .load: if !loader.add({ [self] in load(base) }) { finish(base, .failure(APIError.draining)) }
    case .wait: break
    case .missing: body(.failure(EngineError.adapterMissing(name: name)))
    }
  }

  private func begin(_ base: String, _ waiter: Waiter, _ loaded: LoadedModel, _ slot: inout Slot) -> ModelUse {
    slot.useCount += 1
    slot.lastUse = clock.add(1, ordering: .relaxed).newValue
    var model = loaded
    if let adapter = waiter.adapter, case .language(let engine as any AdapterEngine) = loaded {
      model = .language(AdaptedEngine(engine, adapter: adapter))
    }
    return ModelUse(name: waiter.adapter ?? base, base: base, model: model, shelf: self)
  }

  fileprivate func end(_ name: String) { state.withLock { $0[name]?.useCount -= 1 } }

  // On the loader's thread from here on.

  private func load(_ name: String) {
    guard let model = model(name) else { return }
    do {
      let begin = MonotonicClock.seconds()
      let opened = try model.open()
      try makeRoom(for: name, byteCount: opened.byteCount)
      let loaded = try opened.load()
      try addAdapters(to: loaded, of: name)
      log.note("loaded \(name) in \(TextFormat.fixed(MonotonicClock.seconds() - begin, digits: 2)) s")
      finish(name, .success(loaded))
    } catch {
      log.warning("\(name) cannot be loaded: \(error)")
      finish(name, .failure(error))
    }
  }

  private func finish(_ name: String, _ result: Result<LoadedModel, any Error>) {
    let calls = state.withLock {
      slots -> [(Waiter, Result<ModelUse, any Error>)] in
      guard var slot = slots[name] else { return [] }
      defer { slots[name] = slot }
      slot.isWanted = false
      slot.isLeaving = false
      let waiters = slot.waiters
      slot.waiters = []
      switch result {
      case .success(let loaded):
        slot.loaded = loaded
        return waiters.map { ($0, .success(begin(name, $0, loaded, &slot))) }
      case .failure(let error): return waiters.map { ($0, .failure(error)) }
      }
    }
    for (waiter, result) in calls { waiter.body(result) }
  }

  /// Puts the adapters of a model that has just been loaded beside it.
  private func addAdapters(to loaded: LoadedModel, of name: String) throws {
    for adapter in adapters.all where adapter.base == name {
      do {
        guard case .language(let engine as any AdapterEngine) = loaded else { throw ShelfError.noAdapters(model: name) }
        let end = Mailbox<Result<Void, any Error>>()
        try engine.load(adapter: adapter.name, from: adapter.path) { end.send($0) }
        for result in end.receive(waits: true) { try result.get() }
      } catch {
        guard adapter.isOptional else { throw error }
        log.warning("\(adapter.name) is not beside \(name) any more: \(error)")
        _ = adapters.remove(adapter.name)
      }
    }
  }

  /// Unloads models until this one fits.
  private func makeRoom(for name: String, byteCount needed: Int) throws {
    // Alone it has the whole budget, which its engine checks.
    guard models.count > 1 else { return }
    guard needed <= budget else { throw ShelfError.tooLarge(model: name, bytes: needed, budget: budget) }
    state.withLock { $0[name]?.byteCount = needed }
    while true {
      let victim = state.withLock { slots -> String? in
        let held = models.filter { slots[$0.name]?.loaded != nil }
        guard held.reduce(0, { $0 + (slots[$1.name]?.byteCount ?? 0) }) + needed > budget else { return nil }
        let oldest = held.min { (slots[$0.name]?.lastUse ?? 0) < (slots[$1.name]?.lastUse ?? 0) }
        if let name = oldest?.name { slots[name]?.isLeaving = true }
        return oldest?.name
      }
      guard let victim else { return }
      unload(victim)
    }
  }

  /// Waits until nobody uses the model any more and lets go of it.
  private func unload(_ name: String) {
    log.note("unloading \(name) to make room")
    while state.withLock({ $0[name]?.useCount ?? 0 }) > 0 { usleep(2_000) }
    let loaded = state.withLock { slots in
      defer { slots[name]?.loaded = nil }
      return slots[name]?.loaded
    }
    let drained = Mailbox<Bool>()
    switch loaded {
    case .language(let engine)?: engine.drain { drained.send(true) }
    case .encoder(let engine)?: engine.drain { drained.send(true) }
    case nil: drained.send(true)
    }
    _ = drained.receive(waits: true)
    // It may have been asked for again meanwhile: those who wait are served by a load of their own.
    state.withLock { $0[name]?.isLeaving = false }
  }
}

/// A loaded model in a request's hands: it stays loaded until the request lets go of this.
public final class ModelUse: Sendable {
  /// What was asked for: the model, or an adapter beside it.
  public let name: String
  private let base: String
  public let model: LoadedModel
  private let shelf: ModelShelf

  fileprivate init(name: String, base: String, model: LoadedModel, shelf: ModelShelf) {
    self.name = name
    self.base = base
    self.model = model
    self.shelf = shelf
  }

  deinit { shelf.end(base) }
}

/// Why a model cannot be loaded.
enum ShelfError: DescribedError, Equatable {
  case tooLarge(model: String, bytes: Int, budget: Int)
  case noAdapters(model: String)

  var description: String {
    switch self {
    case .tooLarge(let model, let bytes, let budget):
      "'\(model)' needs \(TextFormat.bytes(bytes)), the memory budget is \(TextFormat.bytes(budget)): raise --memory"
    case .noAdapters(let model): "'\(model)' takes no adapters: they stand beside language models"
    }
  }
}
