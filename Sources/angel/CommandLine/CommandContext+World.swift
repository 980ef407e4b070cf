import AngelCore
import AngelDistributed
import AngelPTM

extension CommandContext {
  /// The processes that were launched together with this one; nil for one by itself.
  func joinWorld(patience mesh: MeshConfiguration) throws -> MPIWorld? {
    guard let place = environment.launchPlace, place.size > 1 else { return nil }
    return try MPIWorld(
      environment, patience: MPIWorld.Patience(late: mesh.patience, silent: mesh.silence), interruption: interruption)
  }

  /// Those that were launched together with this one to run one model, each with a part of every layer; nil for one by itself.
  func joinPeers() throws -> PeerWorld? { try joinWorld(patience: MeshConfiguration()).map(PeerWorld.init) }

  /// This context for the first of several processes, or one by itself; for the others the same without anything printed.
  func speaking(_ peers: PeerWorld?) -> CommandContext { peers?.isFirst ?? true ? self : silent }

  /// The same without anything printed: for all but the first of several processes.
  var silent: CommandContext {
    CommandContext(
      input: input, output: .nowhere, diagnostics: .nowhere, environment: environment, interruption: interruption,
      progress: .silent, log: Log(write: { _ in }), printsJSON: printsJSON, device: device, threads: threads,
      precision: precision)
  }
}
