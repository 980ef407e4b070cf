import AngelCore
import AngelModels
import AngelTensor
import CAngelKernels

extension BenchKernelMaker {
  /// Attention of one layer for the last `rows` of `length` tokens, and the store of the first `rows` keys and values.
  func attention(_ shape: BenchShape, rows: Int, length: Int, _ dtype: DType) -> BenchKernelCase? {
    let sizes = shape.configuration
    let geometry = sizes.cacheGeometry
    let elements = rows * sizes.headCount * sizes.headSize
    guard
      let tables = BenchCacheTables(geometry, dtype, in: source, rows: .last(rows, of: length), length: length),
      let launch = launcher(
        ANGEL_FAMILY_paged_attention, KernelDTypes(.float32, dtype),
        Work(bytes: 8 * elements, multiplyAdds: elements * length), angel_paged_attention_arguments.self)
    else { return nil }
    let seen = ((length - rows)..<length).reduce(0) { $0 + $1 + 1 }
    let (queries, output) = (floats(elements), output(elements))
    let workspace =
      PagedCache.sharesPositions(rows: rows, geometry, on: backend)
      ? BenchAttentionWorkspace(rows: rows, heads: sizes.headCount, geometry, length: length) : nil
    return BenchKernelCase(
      kernel: "paged_attention", dtype: dtype.name, model: shape.rawValue,
      shape: (rows == 1 ? "decode" : "prefill \(rows)") + " at \(length)",
      bytes: geometry.layerBytes(dtype) * length / CacheGeometry.blockTokens + 8 * elements,
      arithmetic: (4 * sizes.headCount * sizes.headSize * seen, .float32),
      run: {
        launch(
          angel_paged_attention_arguments(
            queries: queries, output: output, cache: tables.next(), rows: Int64(rows), heads: Int64(sizes.headCount),
            scale: 0.125, softcap: 0, window: 0, partials: workspace?.partials, tickets: workspace?.tickets, kept: nil))
      })
  }

  /// The store of `rows` new keys and values.
  func keyValueStore(_ shape: BenchShape, rows: Int, _ dtype: DType) -> BenchKernelCase? {
    let geometry = shape.configuration.cacheGeometry
    let elements = rows * geometry.keyValueHeadCount * geometry.headSize
    guard
      let tables = BenchCacheTables(geometry, dtype, in: target, rows: .last(rows, of: rows), length: rows),
      let launch = launcher(
        ANGEL_FAMILY_kv_store, KernelDTypes(.float32, dtype), Work(bytes: 12 * elements), angel_kv_store_arguments.self)
    else { return nil }
    return BenchKernelCase(
      kernel: "kv_store", dtype: dtype.name, model: shape.rawValue, shape: "rows \(rows)",
      bytes: 8 * elements + geometry.layerBytes(dtype) * rows / CacheGeometry.blockTokens,
      run: {
        launch(
          angel_kv_store_arguments(
            keys: floats(elements), values: floats(elements), cache: tables.next(), rows: Int64(rows)))
      })
  }
}
