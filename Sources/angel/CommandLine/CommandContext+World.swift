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

  /// The same without anything printed: for all but the first of several processes.
  var silent: CommandContext {
    CommandContext(
      input: input, output: .nowhere, diagnostics: .nowhere, environment: environment, interruption: interruption,
      progress: .silent, log: Log(write: { _ in }), printsJSON: printsJSON, device: device, threads: threads,
      precision: precision)
  }
}
