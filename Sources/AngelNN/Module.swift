/// A part of a model: a struct whose children are named once, in `visitChildren`.
///
/// One explicit visitor serves load, save, freeze, count, shard, quantise and optimise; nothing is found by reflection.
public protocol Module: Sendable {
  /// Visits every child module and parameter, one line each.
  mutating func visitChildren(_ visitor: inout some ParameterVisitor)
}

/// Walks a module tree; called for each child with its name.
public protocol ParameterVisitor {
  /// The names of the modules around what is visited.
  var path: [String] { get set }
  /// Visits a child module.
  mutating func visit(_ name: String, _ module: inout some Module)
  /// Visits a parameter.
  mutating func visit(_ name: String, _ parameter: inout Parameter)
}

extension ParameterVisitor {
  /// Visits a list of child modules, named by their index.
  public mutating func visit(_ name: String, _ modules: inout [some Module]) {
    path.append(name)
    for index in modules.indices { visit(String(index), &modules[index]) }
    path.removeLast()
  }

  /// Visits a child module; nil where the configuration leaves it out.
  public mutating func visit(_ name: String, _ module: inout (some Module)?) {
    guard var present = module else { return }
    visit(name, &present)
    module = present
  }

  /// Visits a parameter; nil where the configuration leaves it out.
  public mutating func visit(_ name: String, _ parameter: inout Parameter?) {
    guard var present = parameter else { return }
    visit(name, &present)
    parameter = present
  }

  /// The path of a child.
  func path(to name: String) -> String { (path + [name]).joined(separator: ".") }

  /// `module` as the type that `other` has, which is its own.
  static func cast<Kind: Module>(_ module: some Module, like other: Kind) -> Kind { module as? Kind ?? other }
}

/// Visits every parameter of a module tree with its full path, for example `blocks.3.attention.query.weight`.
private struct PathVisitor: ParameterVisitor {
  var path: [String] = []
  var failure: (any Error)?
  let body: (String, inout Parameter) throws -> Void

  mutating func visit(_ name: String, _ module: inout some Module) {
    guard failure == nil else { return }
    path.append(name)
    module.visitChildren(&self)
    path.removeLast()
  }

  mutating func visit(_ name: String, _ parameter: inout Parameter) {
    guard failure == nil else { return }
    do { try body(path(to: name), &parameter) } catch { failure = error }
  }
}

extension Module {
  /// Calls `body` with the path and the parameter of every leaf, in visiting order; rethrows its first error.
  public mutating func visitParameters(_ body: (String, inout Parameter) throws -> Void) throws {
    try withoutActuallyEscaping(body) { body in
      var visitor = PathVisitor(body: body)
      visitChildren(&visitor)
      if let failure = visitor.failure { throw failure }
    }
  }

  /// The paths and shapes of all parameters, in visiting order.
  public func parameterShapes() -> [(path: String, parameter: Parameter)] {
    var copy = self
    var shapes: [(path: String, parameter: Parameter)] = []
    // The closure does not throw, so neither does the visit.
    try? copy.visitParameters { path, parameter in shapes.append((path, parameter)) }
    return shapes
  }

  /// The number of values in all parameters.
  public var parameterCount: Int { parameterShapes().reduce(0) { $0 + $1.parameter.shape.elementCount } }
}
