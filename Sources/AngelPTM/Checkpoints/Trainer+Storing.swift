import AngelCore
import AngelNN
import AngelTensor

extension Trainer {
  /// What a checkpoint holds: parameters in float32, states as they are kept, each whole by its name, wherever it lies.
  var storedValues: [StoredValue] {
    var owned: [String: Parameter] = [:]
    for (path, parameter) in layout.owned {
      owned[path] = parameter
      optimizer.prepare(parameter, path: path)
    }
    let (states, averages) = (optimizer.states, average?.states ?? [:])
    return parameters.enumerated().flatMap { index, entry in
      let (path, parameter) = entry
      // What is shared out is read and restored by the share, what is not by the whole.
      let held = layout.needsRecomputation ? owned[path] : parameter
      var stored = [
        StoredValue(
          name: "parameters/" + path, index: index, isParameter: true, shape: parameter.shape, dtype: .float32,
          own: { held?.trainedValues?.values },
          restore: { bytes in held?.update { $0.overwrite(with: bytes) } })
      ]
      func add(_ name: String, _ shape: Shape, _ dtype: DType, _ state: OptimizerState?) {
        stored.append(
          StoredValue(
            name: name, index: index, isParameter: false, shape: shape, dtype: dtype, own: { state?.tensor },
            restore: { state?.restore($0) }))
      }
      for (name, form) in stateForms(parameter, path) { add("optimizer/" + name, form.shape, form.dtype, states[name]) }
      if average != nil { add("average/" + path, parameter.shape, .float32, averages[path]) }
      return stored
    }
  }

  /// Names and forms of the states of a whole parameter: those that one process would keep.
  private func stateForms(_ parameter: Parameter, _ path: String) -> [(String, TensorSpecification)] {
    let outline = optimizerConfiguration.makeOptimizer(on: ShapesBackend())
    outline.prepare(Parameter(parameter.shape, parameter.role), path: path)
    return outline.states.map { ($0.key, $0.value.tensor.specification) }
  }
}
