import AngelCore
import AngelModels
import AngelNN
import AngelTensor
import Synchronization

/// How much the loss of a model moves with the outputs of its layers: by each output the mean square of the gradient of a text's
/// cross-entropy, the diagonal of the empirical Fisher matrix (arXiv:1412.1193, §9.2).
///
/// An error e of outputs, independent of the gradients, then adds about half of Σ g² e² to the loss of a token.
struct LossGradients {
  /// By path of a linear layer, [outputs].
  private(set) var squares: [String: [Float]] = [:]

  /// The gradients of `windows`, each from an empty context: of their tokens, nats a token.
  init<Model: LanguageModel>(
    of model: Model, layers: [String], _ windows: [[Int32]], on backend: any Backend,
    report: (_ done: Int, _ inAll: Int) throws -> Void
  ) throws {
    let leaves = OutputLeaves()
    let watched = model.watched(layers, by: leaves.observer)
    let total = windows.reduce(0) { $0 + $1.count }
    var (done, rows) = (0, 0)
    for window in windows where window.count > 1 {
      let inputs = Array(window.dropLast())
      let context = ForwardContext(segments: Segments(lengths: [inputs.count], on: backend))
      let hidden = watched(Tensor(inputs, on: backend), context)
      let targets = PredictionTargets(
        tokens: Tensor(Array(window.dropFirst()), on: backend),
        weights: Tensor([Float](repeating: 1, count: inputs.count), on: backend))
      let gradients = try watched.crossEntropy(of: hidden, targets).backward()
      for (path, leaf) in leaves.take() {
        guard let gradient = gradients[leaf] else { continue }
        let own: [Float] = try gradient.squared().sum(over: 0).read()
        squares[path] = squares[path].map { zip($0, own).map { $0 + $1 } } ?? own
      }
      rows += inputs.count
      done += window.count
      try report(done, total)
    }
    squares = squares.mapValues { $0.map { $0 / Float(max(1, rows)) } }
  }

  /// Adds a leaf to every output, by which gradients are taken.
  private final class OutputLeaves: Sendable {
    private let leaves = Mutex<[String: Tensor]>([:])

    func observer(for path: String) -> any LayerObserver { Observer(path: path, leaves: self) }

    /// The leaves of the pass before.
    func take() -> [String: Tensor] {
      leaves.withLock { leaves in
        defer { leaves = [:] }
        return leaves
      }
    }

    private final class Observer: LayerObserver {
      let path: String
      let leaves: OutputLeaves

      init(path: String, leaves: OutputLeaves) {
        self.path = path
        self.leaves = leaves
      }

      func observed(_ y: Tensor) -> Tensor {
        let leaf = Tensor([Float](repeating: 0, count: y.shape.elementCount), shape: y.shape, on: y.backend).asLeaf()
        leaves.leaves.withLock { $0[path] = leaf }
        return y + leaf
      }
    }
  }
}
