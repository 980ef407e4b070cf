import AngelNN
import AngelTensor
import Synchronization

/// The second moments of what linear layers are given, Xᵀ X over the rows X that they see: kept once for layers that are
/// given the same, as queries, keys and values are.
final class InputMoments: Sendable {
  /// Layers with one input.
  struct Group {
    var paths: [String]
    let width: Int
    /// [width, width], the sum over `rowCount` rows.
    var sum: Tensor?
    var rowCount = 0
    /// Of each input the sum and the most of magnitudes, [1, width].
    var magnitudes: (sum: Tensor, most: Tensor)?
    /// Some of the rows seen last, [R, width].
    var sample: Tensor?
  }

  /// Rows that are kept as they are.
  private static let sampleCount = 64

  private struct State {
    var groups: [Group] = []
    var groupOfPath: [String: Int] = [:]
    var collected: Set<Int> = []
    /// What was seen last. Holding it keeps its memory from becoming another input's, so an address tells them apart.
    var last: (input: Tensor, group: Int)?
  }

  private let state = Mutex(State())
  /// Whether magnitudes and some rows are kept too.
  private let keepsMagnitudes: Bool

  init(keepsMagnitudes: Bool = false) { self.keepsMagnitudes = keepsMagnitudes }

  /// All groups seen so far, in the order of their first layers.
  var groups: [Group] { state.withLock { $0.groups } }

  /// What a layer is to have as its observer.
  func observer(for path: String) -> any LayerObserver { Observer(path: path, moments: self) }

  /// Drops all sums, and collects those of `groups` from now on.
  func collect(_ groups: Range<Int>) {
    state.withLock {
      $0.groups = $0.groups.map { Group(paths: $0.paths, width: $0.width) }
      $0.collected = Set(groups)
      $0.last = nil
    }
  }

  private func see(_ path: String, _ x: Tensor) {
    state.withLock { state in
      let group = Self.group(of: path, x, &state)
      state.last = (x, group)
      guard state.collected.contains(group), state.groups[group].paths[0] == path else { return }
      let rows = x.cast(to: .float32)
      let product = DenseProduct(transposesLeft: true)(rows, rows)
      if state.groups[group].sum == nil {
        state.groups[group].sum = product
      } else {
        state.groups[group].sum?.add(product)
      }
      state.groups[group].rowCount += rows.shape[0]
      if keepsMagnitudes { Self.keepMagnitudes(of: rows, in: &state.groups[group]) }
    }
  }

  private static func keepMagnitudes(of rows: Tensor, in group: inout Group) {
    let magnitudes = AngelTensor.maximum(rows, -rows)
    let (sum, most) = (magnitudes.sum(over: 0), magnitudes.max(over: 0))
    group.magnitudes = group.magnitudes.map { ($0.sum + sum, AngelTensor.maximum($0.most, most)) } ?? (sum, most)
    let count = min(sampleCount, rows.shape[0])
    group.sample = rows.rows(
      Tensor((0..<count).map { Int32($0 * rows.shape[0] / count) }, on: rows.backend))
  }

  private static func group(of path: String, _ x: Tensor, _ state: inout State) -> Int {
    if let known = state.groupOfPath[path] { return known }
    if let last = state.last, last.input.address == x.address, last.input.specification == x.specification {
      state.groups[last.group].paths.append(path)
      state.groupOfPath[path] = last.group
      return last.group
    }
    state.groups.append(Group(paths: [path], width: x.shape[1]))
    state.groupOfPath[path] = state.groups.count - 1
    return state.groups.count - 1
  }

  private final class Observer: LayerObserver {
    let path: String
    let moments: InputMoments

    init(path: String, moments: InputMoments) {
      self.path = path
      self.moments = moments
    }

    func observe(_ x: Tensor) { moments.see(path, x) }
  }
}
