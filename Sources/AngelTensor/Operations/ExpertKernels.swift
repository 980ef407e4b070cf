import AngelCore
import AngelMemory
import CAngelKernels

/// Products of rows grouped by expert with operands that change from step to step (expert_matmul.h, expert_arrange.h,
/// expert_outer.h). How many rows a group has is read on the device.
extension DenseKernels {
  /// output [P, N] = grouped `rows` [P, K], each times the panels of its expert; `panels` are one tensor an expert.
  func multiply(_ rows: Tensor, _ panels: [Tensor], _ order: ExpertOrder, into output: Tensor) {
    let narrow: DType? = output.dtype == .bfloat16 ? .bfloat16 : nil
    let (depth, columns) = (rows.shape[1], output.shape[1])
    let addresses = deviceAddresses(of: panels, on: output.backend)
    let arguments = angel_expert_matmul_arguments(
      input: UnsafeRawPointer(rows.address),
      weights: UnsafePointer(addresses.address.assumingMemoryBound(to: UnsafeRawPointer?.self)),
      offsets: order.offsets.int32s, output: output.mutableFloats, choices: Int64(panels.count), depth: Int64(depth),
      columns: Int64(columns), input_dtype: angel_dtype(rowDType.rawValue), weight_dtype: angel_dtype(dtype.rawValue))
    let touched = min(panels.count, rows.shape[0])
    let work = Work(
      bytes: touched * panels[0].specification.byteCount + output.specification.byteCount,
      multiplyAdds: output.shape.elementCount * depth)
    backend.launch(
      ANGEL_FAMILY_expert_matmul, KernelDTypes(rowDType, dtype, narrow), arguments, work, keeping: rows, panels,
      addresses, order, output)
  }

  /// leftᵀ · right of every group: [P, N] and [P, K] → [E, N, K] float32, zeros for an expert without rows.
  func outer(_ left: Tensor, _ right: Tensor, _ order: ExpertOrder) -> Tensor {
    let (places, choices) = (left.shape[0], order.offsets.shape[0] - 1)
    let (lines, columns) = (left.shape[1], right.shape[1])
    let rows = arranged(
      left, order, ANGEL_FAMILY_expert_arrange_rows, rowDType,
      byteCount: angel_expert_rows_bytes(cType, Int64(places), Int64(choices), Int64(lines)))
    let panels = arranged(
      right, order, ANGEL_FAMILY_expert_arrange_panels, dtype,
      byteCount: angel_expert_panels_bytes(cType, Int64(places), Int64(choices), Int64(columns)))
    let output = Tensor(
      uninitialized: TensorSpecification([choices, lines, columns], .float32), on: left.backend)
    let arguments = angel_expert_outer_arguments(
      rows: UnsafeRawPointer(rows.address), panels: UnsafeRawPointer(panels.address), offsets: order.offsets.int32s,
      output: output.mutableFloats, choices: Int64(choices), lines: Int64(lines), columns: Int64(columns),
      rows_dtype: angel_dtype(rowDType.rawValue), panels_dtype: cType)
    let work = Work(
      bytes: output.specification.byteCount + panels.specification.byteCount, multiplyAdds: places * lines * columns)
    backend.launch(
      ANGEL_FAMILY_expert_outer, KernelDTypes(rowDType, dtype), arguments, work, keeping: rows, panels, order)
    return output
  }

  private var cType: angel_dtype { angel_dtype(dtype.rawValue) }

  /// The transposes of all groups of `source` as operands.
  private func arranged(
    _ source: Tensor, _ order: ExpertOrder, _ family: angel_family, _ target: DType, byteCount: Int64
  ) -> Tensor {
    let result = Tensor(
      uninitialized: TensorSpecification([Int(byteCount)], .uint8), on: source.backend, kind: .workspace)
    let arguments = angel_expert_arrange_arguments(
      source: UnsafeRawPointer(source.address), target: result.address, offsets: order.offsets.int32s,
      choices: Int64(order.offsets.shape[0] - 1), width: Int64(source.shape[1]),
      source_dtype: angel_dtype(source.dtype.rawValue), target_dtype: angel_dtype(target.rawValue))
    backend.launch(
      family, KernelDTypes(source.dtype, target), arguments, Work(bytes: 2 * source.specification.byteCount),
      keeping: source, order)
    return result
  }
}

/// [E] int64: where these tensors begin, as kernels read it.
func deviceAddresses(of tensors: [Tensor], on backend: any Backend) -> Tensor {
  Tensor(tensors.map { Int64(Int(bitPattern: $0.address)) }, on: backend, kind: .workspace)
}
