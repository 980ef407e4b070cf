/// Visits every linear layer of a module tree with its path.
private struct LinearVisitor: ParameterVisitor {
  var path: [String] = []
  let body: (String, inout Linear) -> Void

  mutating func visit(_ name: String, _ module: inout some Module) {
    if var linear = module as? Linear {
      body(path(to: name), &linear)
      module = Self.cast(linear, like: module)
      return
    }
    path.append(name)
    module.visitChildren(&self)
    path.removeLast()
  }

  mutating func visit(_ name: String, _ parameter: inout Parameter) {}
}

extension Module {
  /// Calls `body` with the path of every linear layer and the layer, which it may change.
  public mutating func visitLinearLayers(_ body: (String, inout Linear) -> Void) {
    withoutActuallyEscaping(body) { body in
      var visitor = LinearVisitor(body: body)
      visitChildren(&visitor)
    }
  }
}
