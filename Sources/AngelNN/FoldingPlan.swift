/// Where what linear layers are given can be divided channel by channel, and their columns multiplied, so that a model computes
/// what it did before: data beside a model, so that models never mention it (arXiv:2211.10438, §4; arXiv:2306.00978, §3.2).
public struct FoldingPlan: Hashable, Sendable {
  /// What makes the inputs, and so can be divided: by path.
  public enum Maker: Hashable, Sendable {
    /// A norm: its weight, and its bias where it has one.
    case norm(String)
    /// A linear layer whose outputs are multiplied by something, each its own, and by nothing else: rows and bias.
    case outputs(String)
    /// The values of attention: rows and bias, the same ones for all heads that share them.
    case values(String)

    /// The linear layer that it is, if any.
    var layers: [String] {
      switch self {
      case .norm: []
      case .outputs(let path), .values(let path): [path]
      }
    }
  }

  /// Linear layers with one input, all that read it, and what makes that.
  public struct Fold: Hashable, Sendable {
    public let layers: [String]
    public let maker: Maker

    public init(_ layers: [String], from maker: Maker) {
      self.layers = layers
      self.maker = maker
    }

    /// The same fold of one layer, `*` being its index.
    func instance(_ index: Substring) -> Fold {
      func path(_ pattern: String) -> String {
        pattern.split(separator: ".").map { $0 == "*" ? index : $0 }.joined(separator: ".")
      }
      let own: Maker =
        switch maker {
        case .norm(let pattern): .norm(path(pattern))
        case .outputs(let pattern): .outputs(path(pattern))
        case .values(let pattern): .values(path(pattern))
        }
      return Fold(layers.map(path), from: own)
    }
  }

  /// Folds by paths in which `*` stands for a layer's index.
  public let folds: [Fold]

  public init(_ folds: [Fold]) { self.folds = folds }

  /// The folds of a model whose linear layers have these paths, in their order. Where a layer of a fold is missing, or
  /// the one that makes its inputs, as where a block has experts, there is none.
  public func folds(of paths: [String]) -> [Fold] {
    let known = Set(paths)
    return paths.flatMap { path -> [Fold] in
      folds.compactMap { fold in
        guard let index = Self.index(of: path, in: fold.layers[0]) else { return nil }
        let instance = fold.instance(index)
        return (instance.layers + instance.maker.layers).allSatisfy(known.contains) ? instance : nil
      }
    }
  }

  /// What stands for `*` in `path`; nil where the pattern says another path.
  private static func index(of path: String, in pattern: String) -> Substring? {
    let (parts, words) = (pattern.split(separator: "."), path.split(separator: "."))
    guard parts.count == words.count, zip(parts, words).allSatisfy({ $0 == "*" || $0 == $1 }) else { return nil }
    return parts.firstIndex(of: "*").map { words[$0] }
  }
}
