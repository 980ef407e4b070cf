import AngelCore
import AngelDistributed
import AngelMemory
import AngelTesting
import Synchronization

@testable import AngelPTM

/// A tiny run on several threads, each a process of a mesh.
struct MeshRun {
  /// What the first process was told.
  var losses: [Double] = []
  var validations: [Double] = []
  /// After the last step.
  var stepUsage: MemoryUsage?
  /// Of each process at its end.
  var usages: [MemoryUsage] = []
  var isInterrupted = false
  /// Bytes that all processes sent of what `StepTraffic` is about.
  var sentBytes = 0

  /// Runs the recipe of `changes` in `folder` on as many members, `tensor` of which share layers out; `stopsAfter` interrupts the first.
  init(
    _ folder: TemporaryFolder, _ changes: [String], processes: Int, tensor: Int = 1, resumes: Bool = false,
    stopsAfter: Int? = nil, budget: Int = 1 << 30,
    recipe: (TinyRun, [String]) throws -> TrainingRecipe = { try $0.recipe($1) }
  ) throws {
    let members = ThreadGroup.members(processes, timeout: 300)
    let results = Mutex<[Int: MeshRun]>([:])
    let failure = Mutex<(any Error)?>(nil)
    // Once: it writes the data, too, that everyone reads.
    let recipe = try recipe(TinyRun(folder), changes + ["mesh.data=\(processes / tensor)", "mesh.tensor=\(tensor)"])
    try DedicatedThread.run(processes) { rank in
      let run = TinyRun(folder)
      run.budget = budget
      var result = MeshRun()
      do {
        let link = Link(members[rank])
        defer { result.sentBytes = link.meter.total(where: StepTraffic.isCounted) }
        let mesh = try DeviceMesh(recipe.mesh.axes, world: link)
        do {
          try run.execute(
            recipe, resumes: resumes, stopsAfter: rank == 0 ? stopsAfter : nil, mesh: processes > 1 ? mesh : nil)
        } catch is Interrupted { result.isInterrupted = true }
      } catch {
        failure.withLock { if $0 == nil { $0 = error } }
        members[rank].leave("\(error)")
      }
      (result.losses, result.validations) = (run.losses, run.validations)
      result.stepUsage = run.stepUsage
      result.usages = run.usage.map { [$0] } ?? []
      let done = result
      results.withLock { $0[rank] = done }
    }
    if let error = failure.withLock({ $0 }) { throw error }
    let all = results.withLock { $0 }
    self = all[0] ?? MeshRun()
    sentBytes = all.values.reduce(0) { $0 + $1.sentBytes }
    usages = all.sorted { $0.key < $1.key }.flatMap(\.value.usages)
  }

  private init() {}
}
