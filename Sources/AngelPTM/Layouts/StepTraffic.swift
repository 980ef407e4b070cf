import AngelCore
public import AngelModels
import AngelNN

/// The bytes that all processes of a mesh together send in a step of one pass a process, by arithmetic.
public struct StepTraffic: Sendable, Hashable {
  /// Gradients and parameters, between those that read different rows.
  public var rows = 0
  /// Activations, losses and the gradients of what stays whole, between those that share layers out.
  public var layers = 0

  public var byteCount: Int { rows + layers }

  /// Whether this arithmetic is about what is sent for `purpose`, as links count it.
  public static func isCounted(_ purpose: String) -> Bool { purposes.contains(purpose) }

  private static let purposes: Set = [
    "reduce-scatter of gradients", "all-reduce of gradients", "all-gather of parameters", "all-gather of activations",
    "reduce-scatter of activations", "all-reduce of losses",
  ]

  /// - Parameters:
  ///   - model: the whole model.
  ///   - passRows: the rows of a pass.
  ///   - recomputes: whether layers run again in the backward pass.
  public init(of model: some LanguageModel, _ mesh: MeshConfiguration, passRows: Int, recomputes: Bool = false) {
    let sizes = Sizes(model)
    rows = (mesh.data - 1) * Self.rows(model, sizes, mesh)
    guard mesh.tensor > 1 else { return }
    layers = mesh.data * Self.layers(model, sizes, mesh, passRows, recomputes || mesh.zero == 3)
  }

  /// How the parameters of a model divide.
  private struct Sizes {
    let plan: ParallelPlan
    let parameters: [(path: String, parameter: Parameter)]

    init<Model: LanguageModel>(_ model: Model) {
      plan = Model.parallelPlan
      parameters = model.trainedParameters
    }

    func isSplit(_ path: String) -> Bool { plan.axis(of: path) != nil }
  }

  /// Of parameters of Ψ bytes in float32, gradients are scattered and gathered, or scattered and parameters gathered: (D - 1) Ψ
  /// each. With parted parameters what products read is gathered instead, each time that it is read. What stays whole is on
  /// each of the peers.
  private static func rows(_ model: some LanguageModel, _ sizes: Sizes, _ mesh: MeshConfiguration) -> Int {
    let isTied = !sizes.parameters.contains { $0.path == "head.weight" }
    return sizes.parameters.reduce(0) { sum, entry in
      let copies = sizes.isSplit(entry.path) ? 1 : mesh.tensor
      let whole = copies * entry.parameter.shape.elementCount
      guard mesh.zero == 3 else { return sum + 2 * 4 * whole }
      let isHalf = entry.parameter.computing == .bfloat16 && entry.parameter.role == .matrix
      // Layers run twice; a tied embedding is looked up and is the output head; the last norm is asked for once.
      let isReadTwice = entry.path.hasPrefix("blocks.") || entry.path.hasPrefix("embedding.") && isTied
      return sum + (4 + (isReadTwice ? 2 : 1) * (isHalf ? 2 : 4)) * whole
    }
  }

  /// Rows of width d are gathered after each norm before shared layers, and scattered after those; backward the other way round.
  /// Rows that are summed travel in float32, others as they are.
  private static func layers(
    _ model: some LanguageModel, _ sizes: Sizes, _ mesh: MeshConfiguration, _ passRows: Int, _ recomputes: Bool
  ) -> Int {
    let peers = mesh.tensor
    let isHalf = sizes.parameters.contains { $0.parameter.computing == .bfloat16 }
    let (moved, summed) = (isHalf ? 2 : 4, 4)
    let paths = sizes.parameters.map(\.path)
    let gathers = paths.count { $0.hasSuffix(".weight") && sizes.plan.gathers(String($0.dropLast(7))) }
    // The experts of a layer are summed together.
    let scatters = Set(
      paths.filter { sizes.plan.axis(of: $0) == 1 }.map { path in
        path.split(separator: ".experts.").first.map(String.init) ?? path
      }
    ).count
    let forward = gathers * moved + scatters * summed
    let backward = gathers * summed + scatters * moved
    let activations = (recomputes ? 2 : 1) * forward + backward
    let whole = sizes.parameters.filter { !sizes.isSplit($0.path) }.map { 4 * $0.parameter.shape.elementCount }
    let small = whole.filter { $0 < TensorLayout.largeByteCount }.reduce(0, +)
    let large = whole.filter { $0 >= TensorLayout.largeByteCount }
    return (peers - 1) * passRows * model.configuration.hiddenSize * activations
      + (large + [small, 4]).reduce(0) { $0 + allReduced($1, peers) }
  }

  /// What an all-reduce of so many bytes sends (`ProcessGroup.allReduce`).
  private static func allReduced(_ bytes: Int, _ count: Int) -> Int {
    (count - 1) * (bytes <= 32 << 10 ? count : 2) * bytes
  }
}
