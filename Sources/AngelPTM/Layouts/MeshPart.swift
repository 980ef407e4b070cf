import AngelCore
import AngelDistributed
import AngelModels
import AngelNN
import AngelTensor

/// What one process of a mesh has: a model or its part of one, and how its steps lie on the others.
struct MeshPart {
  let model: any LanguageModel
  private let configuration: MeshConfiguration
  private let mesh: DeviceMesh?
  private let shared: (peers: GroupPeers, group: any ProcessGroup, axes: [String: Int])?

  /// The part of a model that every process has made with the same values; all of it where there is no mesh.
  init(_ model: any LanguageModel, _ configuration: MeshConfiguration, _ mesh: DeviceMesh?) throws {
    self.configuration = configuration
    self.mesh = mesh
    guard configuration.tensor > 1, let group = mesh?.group(along: .tensor) else {
      self.model = model
      shared = nil
      return
    }
    let peers = GroupPeers(group)
    let (part, axes) = try Self.shareOut(model, among: peers)
    self.model = part
    shared = (peers, group, axes)
  }

  private static func shareOut(
    _ model: some LanguageModel, among peers: GroupPeers
  ) throws -> (any LanguageModel, [String: Int]) {
    if let obstacle = model.obstacle(toSharingOver: peers.count) {
      throw PTMError.recipe("mesh.tensor: \(obstacle); use mesh.data")
    }
    var part = model
    let axes = part.shareOut(type(of: model).parallelPlan, among: peers)
    return (part, axes)
  }

  func makeLayout(
    _ parameters: [(path: String, parameter: Parameter)], _ optimizer: OptimizerConfiguration, on backend: any Backend
  ) throws -> any StepLayout {
    let rows: any StepLayout =
      if configuration.data > 1, let group = mesh?.group(along: .data) {
        try DataLayout(parameters, optimizer: optimizer, configuration, group, on: backend)
      } else {
        SoloLayout(parameters)
      }
    guard let shared else { return rows }
    return TensorLayout(parameters, axes: shared.axes, shared.peers, shared.group, inner: rows)
  }
}
