package import CAngelKernels

extension Backend {
  /// Runs a kernel on its argument struct. The struct holds addresses only, so the tensors (or what owns them) behind it
  /// are named in `keeping`, and outlive the launch.
  package func launch<Arguments, each Operand>(
    _ kernel: Kernel, _ arguments: Arguments, _ work: Work, keeping operands: repeat each Operand
  ) {
    withUnsafeBytes(of: arguments) { launch(kernel, $0, work: work) }
    for operand in repeat each operands { withExtendedLifetime(operand) {} }
  }

  /// Runs the kernel of a primitive, which every arithmetic backend must have; traps where it is missing. Operands that a later
  /// launch keeps need not be named before.
  package func launch<Arguments, each Operand>(
    _ family: angel_family, _ dtypes: KernelDTypes, _ arguments: Arguments, _ work: Work,
    keeping operands: repeat each Operand
  ) {
    guard let kernel = kernel(family, dtypes) else {
      let names = [dtypes.first, dtypes.second, dtypes.third].compactMap { $0?.name }.joined(separator: ", ")
      preconditionFailure("\(family.name): no kernel on \(device) for \(names)")
    }
    launch(kernel, arguments, work, keeping: repeat each operands)
  }
}
